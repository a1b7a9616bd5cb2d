"""A load generator: one process, a bounded number of HTTP/1.1 connections to loopback, bounded in time.

It parses as little as it can (``httptools``), so that it stays ahead of the servers it measures.
"""

import asyncio
import json
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any, cast

import httptools
import numpy as np
import uvloop

_COARSE_S = 0.002
"""What is left of a wait when sleeping, which is exact to a millisecond, gives way to looking at the clock."""


@dataclass(frozen=True, slots=True)
class Target:
    """What to ask for: each request is the next of ``bodies``, over and over."""

    port: int
    path: str
    bodies: Sequence[Mapping[str, Any]]
    headers: Mapping[str, str] = field(default_factory=dict)

    def requests(self) -> list[bytes]:
        """The requests as they go over the wire."""
        headers = {"Host": "127.0.0.1", "Content-Type": "application/json", **self.headers}
        head = f"POST {self.path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        bodies = [json.dumps(body).encode() for body in self.bodies]
        return [f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body for body in bodies]


@dataclass(slots=True)
class Answers:
    """What came of a run: answers by status, the latencies of the good and of the refused ones."""

    statuses: Counter[int] = field(default_factory=Counter)
    good_s: list[float] = field(default_factory=list)
    refused_s: list[float] = field(default_factory=list)
    n_retry_after: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return self.statuses[200] / self.seconds

    def percentiles_ms(self, *percents: float) -> list[float]:
        """Latencies of the good answers."""
        return [float(one) * 1000 for one in np.percentile(self.good_s or [np.nan], percents)]

    def note(self, connection: "_Connection", since: float) -> None:
        """Count the answer that a connection has just had to a request sent, or due, at ``since``."""
        took = time.perf_counter() - since
        self.statuses[connection.status] += 1
        (self.good_s if connection.status == 200 else self.refused_s).append(took)
        self.n_retry_after += connection.has_retry_after


class _Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self.status = 0
        self.has_retry_after = False
        self._answered: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def ask(self, request: bytes) -> "asyncio.Future[None]":
        """Send a request; done once it is answered."""
        self._answered = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self.has_retry_after = False
        self.transport.write(request)
        return self._answered

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answered and not self._answered.done():
            self._answered.set_exception(exc or ConnectionResetError("closed before it answered"))

    def on_header(self, name: bytes, value: bytes) -> None:
        self.has_retry_after |= name.lower() == b"retry-after"

    def on_message_complete(self) -> None:
        self.status = self._parser.get_status_code()
        if self._answered:
            self._answered.set_result(None)


def closed_loop(target: Target, *, connections: int, seconds: float, once: bool = False) -> Answers:
    """Each connection asks again as soon as it is answered: how much the server can do. ``once``: each body once."""
    return uvloop.run(_closed_loop(target, connections, seconds, once))


def open_loop(target: Target, *, rate: float, connections: int, seconds: float) -> Answers:
    """Requests fall due at a constant rate whatever the answers do, and latencies count from when they were due.

    A request that finds no free connection waits for one and its waiting counts, so that a slow server can't hide
    behind requests that were never sent (coordinated omission).
    """
    return uvloop.run(_open_loop(target, rate, connections, seconds))


async def _closed_loop(target: Target, n_connections: int, seconds: float, once: bool) -> Answers:
    answers, requests = Answers(), iter(target.requests()) if once else cycle(target.requests())
    connections = await _connect(target.port, n_connections)
    begun = time.perf_counter()

    async def keep_asking(connection: _Connection) -> None:
        for request in requests:
            since = time.perf_counter()
            if since > begun + seconds:
                return
            await connection.ask(request)
            answers.note(connection, since)

    await asyncio.gather(*map(keep_asking, connections))
    answers.seconds = time.perf_counter() - begun
    return _closed(connections, answers)


async def _open_loop(target: Target, rate: float, n_connections: int, seconds: float) -> Answers:
    answers, requests = Answers(), cycle(target.requests())
    connections = await _connect(target.port, n_connections)
    free = deque(connections)
    begun = time.perf_counter()

    async def ask(connection: _Connection, due: float) -> None:
        await connection.ask(next(requests))
        answers.note(connection, due)
        free.append(connection)

    async with asyncio.TaskGroup() as asking:
        for place in range(round(rate * seconds)):
            due = begun + place / rate
            await asyncio.sleep(max(due - time.perf_counter() - _COARSE_S, 0))
            while time.perf_counter() < due or not free:
                await asyncio.sleep(0)
            asking.create_task(ask(free.popleft(), due))
    answers.seconds = time.perf_counter() - begun
    return _closed(connections, answers)


async def _connect(port: int, n: int) -> list[_Connection]:
    loop = asyncio.get_running_loop()
    return [(await loop.create_connection(_Connection, "127.0.0.1", port))[1] for _ in range(n)]


def _closed(connections: Sequence[_Connection], answers: Answers) -> Answers:
    for connection in connections:
        connection.transport.close()
    return answers

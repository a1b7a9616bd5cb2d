"""What a keyed score costs while others misbehave.

For each attack, rounds with and without it take turns: scores of one user fall due at a constant rate, on connections
of their own; the attack comes from another process.
"""

import asyncio
import multiprocessing
import statistics
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final
from urllib.parse import urlencode

from benchmarks.load import Answers, Target, open_loop
from benchmarks.world import World

RATE: Final = 200.0
SECONDS: Final = 4.0
ROUNDS: Final = 5
_FORM: Final = urlencode({"name": "nobody", "password": "a wrong password"}).encode()
_HALF: Final = (
    b"POST /v1/users:score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n{"
)
_SIGN_IN: Final = (
    b"POST /console/sign-in HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s" % (len(_FORM), _FORM)
)

Attack = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def half_sent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send half a request without a key, and stay until the server ends it."""
    writer.write(_HALF)
    await reader.read()


async def endless_header(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send one header without an end."""
    writer.write(b"GET /livez HTTP/1.1\r\nX-Long: ")
    while not reader.at_eof():
        writer.write(b"a" * 65_536)
        await writer.drain()


async def dripping_headers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send a byte of a header every tenth of a second."""
    writer.write(b"GET /livez HTTP/1.1\r\nX-Slow: ")
    while not reader.at_eof():
        writer.write(b"a")
        await asyncio.sleep(0.1)


def reading(path: str) -> Attack:
    """Ask for a path again as soon as it is answered."""

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.partition(b"content-length: ")[2].split()[0]))

    return ask


async def sign_in(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Guess a password."""
    writer.write(_SIGN_IN)
    await reader.read()


ATTACKS: Final[dict[str, tuple[int, Attack]]] = {
    "128 requests half sent, without a key": (128, half_sent),
    "an endless header": (1, endless_header),
    "64 connections whose headers drip": (64, dripping_headers),
    "8 scrapers of `/metrics`": (8, reading("/metrics")),
    "8 readers of `/readyz`": (8, reading("/readyz")),
    "100 sign-ins at once": (100, sign_in),
}


def hostile(world: World) -> dict[str, Any]:
    """By attack: the 99th percentiles quiet and attacked, the median of their ratios by round, the share answered."""
    with world.server() as (server, key):
        bodies = [{"user_ids": [user_id]} for user_id in world.user_ids]
        target = Target(server.port, "/v1/users:score", bodies, {"X-API-Key": key})
        _scored(target)  # to warm up
        return {name: _figures(target, *attack) for name, attack in ATTACKS.items()}


def _figures(target: Target, n_connections: int, attack: Attack) -> dict[str, float]:
    rounds = [_round(target, n_connections, attack) for _ in range(ROUNDS)]
    p99s = [(quiet.percentiles_ms(99)[0], attacked.percentiles_ms(99)[0]) for quiet, attacked in rounds]
    quiet_ms, attacked_ms = (statistics.median(one) for one in zip(*p99s, strict=True))
    ratio = statistics.median(attacked / quiet for quiet, attacked in p99s)
    good = sum(attacked.statuses[200] for _, attacked in rounds)
    answered = good / sum(attacked.statuses.total() for _, attacked in rounds)
    return {"quiet_ms": quiet_ms, "attacked_ms": attacked_ms, "ratio": ratio, "answered": answered}


def _round(target: Target, n_connections: int, attack: Attack) -> tuple[Answers, Answers]:
    quiet = _scored(target)
    with _under(attack, target.port, n_connections):
        return quiet, _scored(target)


def _scored(target: Target) -> Answers:
    return open_loop(target, rate=RATE, connections=32, seconds=SECONDS)


@contextmanager
def _under(attack: Attack, port: int, n_connections: int) -> Iterator[None]:
    """While an attack stands, from a process of its own."""
    context = multiprocessing.get_context("fork")
    standing = context.Event()
    attacker = context.Process(target=lambda: asyncio.run(_attack(attack, port, n_connections, standing.set)))
    attacker.start()
    try:
        standing.wait()
        yield
    finally:
        attacker.kill()
        attacker.join()


async def _attack(attack: Attack, port: int, n_connections: int, begun: Callable[[], None]) -> None:
    async def again_and_again() -> None:
        while True:
            with suppress(OSError, asyncio.IncompleteReadError):  # the server has had enough of it
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                try:
                    await attack(reader, writer)
                finally:
                    writer.close()

    attacks = [asyncio.ensure_future(again_and_again()) for _ in range(n_connections)]
    await asyncio.sleep(0.5)
    begun()
    await asyncio.gather(*attacks)

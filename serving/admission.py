"""How much is taken on at once: what is above the limit is refused before any work is done for it.

A request has a place while there is work on it, and none while its body is on its way: whoever sends half of one keeps
nobody out. A refusal costs a fifth of an answer, so that a server asked for too much goes on answering what it can: it
is a ready made problem, counted, and logged once a second.
"""

import json
import logging
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.errors import MEDIA_TYPE, BusyError, problem_of
from serving.metrics import Metrics

_log = logging.getLogger(__name__)

_ALWAYS_TAKEN: Final = frozenset(("/livez", "/readyz", "/metrics"))
"""A server that is only busy must not be taken for a dead one."""
_OF_PEOPLE: Final = "/console"
"""What reads bodies of callers who are not known yet: forms."""
_LOGGED_EVERY_S: Final = 1.0


@dataclass(slots=True)
class Arrivals:
    """Bodies that are on their way, and what has come of them."""

    max_bodies: int
    max_bytes: int
    n_bodies: int = 0
    n_bytes: int = 0

    @contextmanager
    def one_more(self) -> Iterator[None]:
        """Wait for a part of one more; BusyError where there are as many as may be, or as much of them."""
        if self.n_bodies >= self.max_bodies or self.n_bytes >= self.max_bytes:
            raise BusyError
        self.n_bodies += 1
        try:
            yield
        finally:
            self.n_bodies -= 1


class Admission:
    """Pure ASGI middleware, outside of all other."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, max_in_flight: int, max_body_bytes: int) -> None:
        self._app = app
        self._metrics = metrics
        self._max_in_flight = max_in_flight
        self._n_in_flight = 0
        self._logged_at = -_LOGGED_EVERY_S
        limits = 4 * max_in_flight, 64 * max_body_bytes
        self._of_keys, self._of_people = Arrivals(*limits), Arrivals(*limits)
        metrics.in_flight.set_function(lambda: self._n_in_flight)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it; the app's other traffic (its start and end) passes."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        if self._n_in_flight >= self._max_in_flight and scope["path"] not in _ALWAYS_TAKEN:
            self._count_refusal()
            return await _refuse(send)
        arrivals = self._of_people if scope["path"].startswith(_OF_PEOPLE) else self._of_keys
        arriving = _Arriving(self, arrivals, receive)
        self._n_in_flight += 1
        try:
            return await self._app(scope, arriving.receive, send)
        finally:
            self._n_in_flight -= 1
            arriving.forget()

    @contextmanager
    def without_place(self) -> Iterator[None]:
        """Give a request's place to others meanwhile; BusyError where there is none to come back to."""
        self._n_in_flight -= 1
        try:
            yield
        finally:
            self._n_in_flight += 1
        if self._n_in_flight > self._max_in_flight:
            self._count_refusal()
            raise BusyError

    def _count_refusal(self) -> None:
        self._metrics.overloads.inc()
        if time.monotonic() >= self._logged_at + _LOGGED_EVERY_S:
            self._logged_at = time.monotonic()
            _log.warning("overloaded, refusing requests", extra={"in_flight": self._n_in_flight})


class _Arriving:
    """The body of one request."""

    def __init__(self, admission: Admission, arrivals: Arrivals, receive: Receive) -> None:
        self._admission = admission
        self._arrivals = arrivals
        self._receive = receive
        self._n_bytes = 0
        self._is_whole = False

    async def receive(self) -> Message:
        """What comes next; BusyError where too much is on its way already, or is worked on once all is there."""
        if self._is_whole:
            return await self._receive()
        with self._admission.without_place(), self._arrivals.one_more():
            message = await self._receive()
        n_bytes = len(message.get("body", b""))
        self._n_bytes += n_bytes
        self._arrivals.n_bytes += n_bytes
        if not message.get("more_body"):
            self._is_whole = True
            self.forget()
        return message

    def forget(self) -> None:
        """Count what came no more: it is worked on, or gone."""
        self._arrivals.n_bytes -= self._n_bytes
        self._n_bytes = 0


async def _refuse(send: Send) -> None:
    request_id = secrets.token_hex(8)
    await send({"type": "http.response.start", "status": BusyError.status, "headers": _headers(request_id)})
    await send({"type": "http.response.body", "body": json.dumps(_PROBLEM | {"request_id": request_id}).encode()})


_PROBLEM: Final[dict[str, Any]] = problem_of(BusyError(), "")


def _headers(request_id: str) -> list[tuple[bytes, bytes]]:
    return [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"retry-after", str(BusyError.retry_after_s).encode()),
        (b"x-request-id", request_id.encode()),
    ]

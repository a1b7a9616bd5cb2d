"""How much is taken on at once: what is above the limit is refused before any work is done for it.

A refusal costs a fifth of an answer, so that a server asked for too much goes on answering what it can: it is a ready
made problem, counted, and logged once a second.
"""

import json
import logging
import secrets
import time
from typing import Any, Final

from starlette.types import ASGIApp, Receive, Scope, Send

from serving.errors import MEDIA_TYPE, BusyError, problem_of
from serving.metrics import Metrics

_log = logging.getLogger(__name__)

_ALWAYS_TAKEN: Final = frozenset(("/livez", "/readyz", "/metrics"))
"""A server that is only busy must not be taken for a dead one."""
_LOGGED_EVERY_S: Final = 1.0


class Admission:
    """Pure ASGI middleware, outside of all other."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, max_in_flight: int) -> None:
        self._app = app
        self._metrics = metrics
        self._max_in_flight = max_in_flight
        self._n_in_flight = 0
        self._logged_at = -_LOGGED_EVERY_S
        metrics.in_flight.set_function(lambda: self._n_in_flight)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it; the app's other traffic (its start and end) passes."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        if self._n_in_flight >= self._max_in_flight and scope["path"] not in _ALWAYS_TAKEN:
            return await self._refuse(send)
        self._n_in_flight += 1
        try:
            return await self._app(scope, receive, send)
        finally:
            self._n_in_flight -= 1

    async def _refuse(self, send: Send) -> None:
        self._metrics.overloads.inc()
        if time.monotonic() >= self._logged_at + _LOGGED_EVERY_S:
            self._logged_at = time.monotonic()
            _log.warning("overloaded, refusing requests", extra={"in_flight": self._n_in_flight})
        request_id = secrets.token_hex(8)
        await send({"type": "http.response.start", "status": BusyError.status, "headers": _headers(request_id)})
        body = json.dumps(_PROBLEM | {"request_id": request_id}).encode()
        await send({"type": "http.response.body", "body": body})


_PROBLEM: Final[dict[str, Any]] = problem_of(BusyError(), "")


def _headers(request_id: str) -> list[tuple[bytes, bytes]]:
    return [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"retry-after", str(BusyError.retry_after_s).encode()),
        (b"x-request-id", request_id.encode()),
    ]

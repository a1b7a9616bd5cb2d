"""The outermost layer of the app: names, limits, measures and logs every request, and answers what nothing else did."""

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from random import getrandbits
from time import perf_counter
from typing import Any, Final

from fastapi import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.errors import FORESEEN, StoreError, answer_problem
from serving.logs import failure
from serving.metrics import Metrics

_log = logging.getLogger("serving.requests")

_REQUEST_ID: Final = b"x-request-id"
_SANE: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_REFUSED: Final = 400
_CLIENT_CLOSED: Final = 499
"""As nginx counts a client that went away before it was answered."""
_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


@dataclass(slots=True)
class Call:
    """One request under way; ``model`` and ``version`` are of the model that answers it, if one does.

    ``who`` is the label of the key that opened a door to it.
    """

    request_id: str
    started: float = field(default_factory=perf_counter)
    status: int = 0
    model: str = ""
    version: str = ""
    who: str = ""

    @property
    def took_ms(self) -> float:
        """Milliseconds since the request came in."""
        return round((perf_counter() - self.started) * 1000, 3)

    @property
    def meta(self) -> dict[str, Any]:
        """What every answer says of its request."""
        return {"request_id": self.request_id, "took_ms": self.took_ms}


def call_of(request: Request) -> Call:
    """The call that a request is."""
    call: Call = request.scope["state"]["call"]
    return call


def _kept_private(headers: Iterable[tuple[bytes, bytes]], request_id: str) -> list[tuple[bytes, bytes]]:
    """The headers with the request's id; no cache keeps an answer that does not say for itself who may."""
    made = [*headers, (_REQUEST_ID, request_id.encode())]
    return made if any(name == b"cache-control" for name, _ in made) else [*made, (b"cache-control", b"no-store")]


class Edge:
    """Pure ASGI middleware. ``scope["state"]["call"]`` is the request's ``Call``."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, max_body_bytes: int) -> None:
        self._app = app
        self._metrics = metrics
        self._requests = cache(metrics.requests.labels)  # finding a counter takes longer than counting
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; the app's other traffic (its start and end) passes untouched."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = dict(scope["headers"])
        asked_id = headers.get(_REQUEST_ID, b"").decode("latin-1")
        call = Call(asked_id if _SANE.fullmatch(asked_id) else f"{getrandbits(64):016x}")
        scope.setdefault("state", {})["call"] = call
        # The server sends no body after HEAD: the answer is made as for GET, whose headers it has to have.
        asked = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope

        async def named_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                call.status = message["status"]
                message["headers"] = _kept_private(message.get("headers", ()), call.request_id)
            await send(message)

        try:
            await self._app(asked, self._limited(receive, headers), named_send)
        except ClientDisconnect:  # nobody is left to answer
            call.status = call.status or _CLIENT_CLOSED
        except Exception as error:  # the outermost handler: nothing goes further than this
            if call.status or not isinstance(error, FORESEEN):
                _log.error("request failed", extra={"request_id": call.request_id, **failure(error)})
            elif isinstance(error, StoreError):
                _log.warning("a store failed", extra={"request_id": call.request_id, **failure(error)})
            if not call.status:
                response = await answer_problem(Request(asked), error)
                await response(scope, receive, named_send)
        self._note(scope["method"], asked, call)
        return None

    def _limited(self, receive: Receive, headers: Mapping[bytes, bytes]) -> Receive:
        """``receive`` that stops at the limit: by the declared length, or by what has come."""
        declared = headers.get(b"content-length", b"")
        n_declared, n_bytes = int(declared[:20]) if declared.isdigit() else 0, 0

        async def limited() -> Message:
            nonlocal n_bytes
            message = await receive()
            n_bytes += len(message.get("body", b""))
            if max(n_declared, n_bytes) > self._max_body_bytes:
                raise HTTPException(413)
            return message

        return limited

    def _note(self, method: str, scope: Scope, call: Call) -> None:
        """Count and log a request by its route's template; what no route took is ``unmatched``."""
        method = method if method in _METHODS else "other"
        route = getattr(scope.get("route"), "path", "unmatched")
        seconds = perf_counter() - call.started
        self._requests(method, route, call.status).inc()
        if call.status < _REFUSED:
            self._metrics.latency.observe([seconds], method, route)
            if call.model:
                self._metrics.model_latency.observe([seconds], call.model, call.version)
        fields = {
            "method": method,
            "route": route,
            "status": call.status,
            "took_ms": round(seconds * 1000, 3),
            "request_id": call.request_id,
        }
        _log.info("request", extra=fields)

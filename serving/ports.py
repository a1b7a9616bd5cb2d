"""A port of its own for metrics, so that a network may reach the API without them, or them without the API."""

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from serving.errors import NotFoundError

_METRICS: Final = "/metrics"
_ON_BOTH: Final = frozenset(("/livez", "/readyz"))


class MetricsPort:
    """Pure ASGI middleware: ``/metrics`` is on this port alone, and there nothing but health is beside it."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._app = app
        self._port = port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on where its port has the path; NotFoundError elsewhere."""
        if scope["type"] == "http" and scope["path"] not in _ON_BOTH:
            is_here = scope["server"][1] == self._port
            if is_here != (scope["path"] == _METRICS):
                raise NotFoundError
        await self._app(scope, receive, send)

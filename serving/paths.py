"""Paths as they were sent: an escaped slash belongs to the part of a path that it stands in, and never divides it.

A server hands paths over unescaped, so that ``/users/a%2Fb`` looks like ``/users/a/b``. Here routes are matched with
``%2F`` and ``%25`` as they are, and what a route took for a part of its path is unescaped once it is cut out.
"""

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, unquote, unquote_to_bytes

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.errors import BadRequestError

_ESCAPE: Final = re.compile(rb"%(?P<hex>[0-9A-Fa-f]{2})?")
_KEPT: Final = {b"2F", b"25"}


class RawPaths:
    """ASGI middleware: routes see every path by its own parts; one that is no escaped UTF-8 is a 400, a query too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; BadRequestError for one whose path or query can't be read."""
        if scope["type"] == "http":
            query = scope.get("query_string", b"")
            if b"%" in query or not query.isascii():
                _text(unquote_to_bytes(query), "query")
            if b"%" in (raw := _raw(scope)) or not raw.isascii():
                scope["path"] = _text(_ESCAPE.sub(_unescaped, raw), "path")
        await self._app(scope, receive, send)


def unescaped(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What a route took for the parts of a path, as they were before they were escaped."""
    return {name: unquote(value) if isinstance(value, str) else value for name, value in parameters.items()}


def path_of(request: Request) -> str:
    """The path of a request, escaped, as a link to it has it."""
    return _raw(request.scope).decode("latin-1")


def _raw(scope: Scope) -> bytes:
    raw: bytes | None = scope.get("raw_path")
    return quote(scope["path"]).encode() if raw is None else raw.partition(b"?")[0]


def _unescaped(escape: re.Match[bytes]) -> bytes:
    digits = escape["hex"]
    if digits is None:
        raise BadRequestError("the path has a % that begins no escape")
    return b"%" + digits.upper() if digits.upper() in _KEPT else bytes.fromhex(digits.decode())


def _text(content: bytes, what: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise BadRequestError(f"the {what} is no UTF-8") from error

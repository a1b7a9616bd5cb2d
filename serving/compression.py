"""Compressed bodies: what a caller sent, and what it accepts."""

import re
import zlib
from typing import Final

from starlette.datastructures import Headers
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.errors import BadRequestError, BodyTooLargeError, UnsupportedMediaTypeError

_WINDOWS: Final = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
_WORTH_IT_BYTES: Final = 8_192
_PAGES: Final = ("/console", "/docs/")
"""Left as they are. Beside a form's token, what a page repeats of a query could be told by the answer's length; and
compressing files again and again is work that nobody needs a key for."""
_REFUSED: Final = re.compile(r"\s*q\s*=\s*0(\.0*)?\s*")


def inflated(body: bytes, encoding: str, *, limit: int) -> bytes:
    """A request's body as it was before ``Content-Encoding``.

    UnsupportedMediaTypeError for an encoding that is not known here, BadRequestError for a body that is not in it, and
    BodyTooLargeError, before more is inflated, for one that is above the limit.
    """
    if (name := encoding.strip().lower()) in ("", "identity"):
        return body
    if name not in _WINDOWS:
        raise UnsupportedMediaTypeError("a body may be compressed by gzip or deflate, once")
    inflater = zlib.decompressobj(_WINDOWS[name])
    try:
        plain = inflater.decompress(body, limit + 1)
    except zlib.error as error:
        raise BadRequestError("the body is not compressed as its Content-Encoding says") from error
    if len(plain) > limit:
        raise BodyTooLargeError
    if not inflater.eof or inflater.unused_data:
        raise BadRequestError("the compressed body ends too early, or something follows it")
    return plain


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether a caller that sent this ``Accept-Encoding`` reads gzip."""
    asked = (one.partition(";") for one in accept_encoding.lower().split(","))
    return any(name.strip() == "gzip" and not _REFUSED.fullmatch(weight) for name, _, weight in asked)


class Compression:
    """Pure ASGI middleware: compresses large answers for callers that read gzip."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._gzip = GZipMiddleware(app, minimum_size=_WORTH_IT_BYTES, compresslevel=5)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, to be compressed where that is wanted."""
        app = self._gzip if scope["type"] == "http" and _is_wanted(scope) else self._app
        await app(scope, receive, send)


def _is_wanted(scope: Scope) -> bool:
    is_page: bool = scope["path"].startswith(_PAGES)
    return not is_page and accepts_gzip(Headers(scope=scope).get("accept-encoding", ""))

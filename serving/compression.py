"""Compressed bodies: what a caller sent, and what it accepts."""

import re
import zlib
from typing import Final

from serving.errors import BadRequestError, BodyTooLargeError, UnsupportedMediaTypeError

_WINDOWS: Final = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
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

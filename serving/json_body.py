"""JSON bodies, read so that no two readers can understand them differently."""

from codecs import BOM_UTF8
from email.message import Message
from functools import lru_cache
from json import JSONDecodeError, JSONDecoder
from typing import Any, Final

from fastapi import Request

from serving.errors import BYTE_ORDER_MARK, NAMED_TWICE, UnsupportedMediaTypeError

_CHARSETS: Final = frozenset((None, "utf-8", "utf8", "us-ascii"))


def require_json(content_type: str) -> None:
    """UnsupportedMediaTypeError for a ``Content-Type`` that says anything but JSON in UTF-8."""
    media_type, charset = _read(content_type)
    if media_type != "application/json" and not (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        raise UnsupportedMediaTypeError("a body is JSON: send it with Content-Type: application/json")
    if charset not in _CHARSETS:
        raise UnsupportedMediaTypeError("JSON is read as UTF-8: encode the body so, and leave out other charsets")


@lru_cache(64)
def _read(content_type: str) -> tuple[str, str | None]:
    header = Message()
    header["Content-Type"] = content_type
    return header.get_content_type(), header.get_content_charset()


def load_json(body: bytes) -> Any:
    """What the JSON says; ValueError for what is no UTF-8 or JSON, or names a property twice in one object."""
    if body.startswith(BOM_UTF8):
        raise JSONDecodeError(BYTE_ORDER_MARK, "", 0)
    return _DECODER.decode(body.decode())


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise JSONDecodeError(NAMED_TWICE, "", 0)
    return made


_DECODER: Final = JSONDecoder(object_pairs_hook=_object)
"""Made once: ``json.loads`` makes one for each call that it is given a hook in."""


class JsonRequest(Request):
    """A request whose body is read by ``load_json``."""

    async def json(self) -> Any:
        """See ``load_json``."""
        return load_json(await self.body())

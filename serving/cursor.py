"""Cursors: where a list goes on, as text that only the same list takes back.

A cursor is no secret and protects nothing: whoever may ask for a list may start it anywhere. The digest in it is there
so that one that was cut, changed or brought to another list is refused instead of answered with something else.
"""

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any, Final

from serving.errors import FieldProblem, InvalidError

_N_DIGEST: Final = 12


def write_cursor(query: tuple[Any, ...], place: tuple[Any, ...]) -> str:
    """The cursor of a place in the list that a query describes; both of plain JSON values."""
    written = json.dumps(place).encode()
    return urlsafe_b64encode(_digest(query, written) + written).decode()


def read_cursor(query: tuple[Any, ...], cursor: str) -> Any:
    """The place that ``write_cursor`` wrote down for this list; InvalidError for any other text."""
    try:
        content = urlsafe_b64decode(cursor)
    except ValueError:
        content = b""
    digest, written = content[:_N_DIGEST], content[_N_DIGEST:]
    if urlsafe_b64encode(content).decode() != cursor or digest != _digest(query, written):
        detail = "is not one that this list gave"
        raise InvalidError(f"the cursor {detail}", errors=[FieldProblem("/query/cursor", "bad_cursor", detail)])
    return tuple(json.loads(written))


def _digest(query: tuple[Any, ...], written: bytes) -> bytes:
    return hashlib.sha256(json.dumps(query).encode() + written).digest()[:_N_DIGEST]

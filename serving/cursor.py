"""Cursors: where a list goes on, as text that only the same list takes back.

A cursor is no secret and protects nothing: whoever may ask for a list may start it anywhere. The digest in it is there
so that one that was cut, changed or brought to another list is refused instead of answered with something else.
"""

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated, Any, Final, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from serving.errors import FieldProblem, InvalidError
from serving.schemas.base import Text

T = TypeVar("T")

_Rank = Annotated[int | float, Field(ge=-(2**53), le=2**53)]

_N_DIGEST: Final = 12

BY_RANK: Final[TypeAdapter[tuple[float, str]]] = TypeAdapter(tuple[_Rank, Text])
"""A place by what a list is sorted by, and an id."""
BY_RANK_IF_ANY: Final[TypeAdapter[tuple[float | None, str]]] = TypeAdapter(tuple[_Rank | None, Text])
BY_ID: Final[TypeAdapter[tuple[str]]] = TypeAdapter(tuple[Text])
BY_NUMBER: Final[TypeAdapter[tuple[int]]] = TypeAdapter(tuple[Annotated[int, Field(ge=0, lt=2**63)]])


def write_cursor(query: tuple[Any, ...], place: tuple[Any, ...]) -> str:
    """The cursor of a place in the list that a query describes; both of plain JSON values."""
    written = json.dumps(place).encode()
    return urlsafe_b64encode(_digest(query, written) + written).decode()


def read_cursor(query: tuple[Any, ...], cursor: str, place: TypeAdapter[T]) -> T:
    """The place that ``write_cursor`` wrote down for this list; InvalidError for any other text."""
    try:
        content = urlsafe_b64decode(cursor)
    except ValueError:
        content = b""
    digest, written = content[:_N_DIGEST], content[_N_DIGEST:]
    if urlsafe_b64encode(content).decode() != cursor or digest != _digest(query, written):
        raise _bad_cursor()
    try:
        return place.validate_json(written, strict=True)
    except ValidationError as error:
        raise _bad_cursor() from error


def _bad_cursor() -> InvalidError:
    detail = "is not one that this list gave"
    return InvalidError(f"the cursor {detail}", errors=[FieldProblem("/query/cursor", "bad_cursor", detail)])


def _digest(query: tuple[Any, ...], written: bytes) -> bytes:
    return hashlib.sha256(json.dumps(query).encode() + written).digest()[:_N_DIGEST]

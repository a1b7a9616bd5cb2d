"""Instants: integer microseconds since 1970 UTC inside, ISO 8601 with a zone outside."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from serving.errors import FieldProblem, InvalidError

Clock: TypeAlias = Callable[[], int]

SECOND_US: Final = 1_000_000
CLOCK_SKEW_US: Final = 300 * SECOND_US
"""How far ahead of the server's clock a client's may run: 5 minutes."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def now_us() -> int:
    """The present instant by the machine's clock."""
    return time.time_ns() // 1000


def to_us(instant: datetime) -> int:
    """An aware datetime as an instant, exact."""
    return (instant - _EPOCH) // _MICROSECOND


def to_datetime(instant: int) -> datetime:
    """An instant as an aware datetime in UTC, exact."""
    return _EPOCH + timedelta(microseconds=instant)


def instant_of(as_of: int | None, *, now: int) -> int:
    """The instant that a question is about, now by default; InvalidError for one before 1970 or yet to come."""
    if as_of is not None and not 0 <= as_of <= now + CLOCK_SKEW_US:
        detail = "must lie between 1970 and five minutes from now"
        raise InvalidError("as_of is out of range", errors=[FieldProblem("/as_of", "out_of_range", detail)])
    return now if as_of is None else as_of

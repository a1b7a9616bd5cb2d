"""A list of users as CSV (RFC 4180), for spreadsheets and campaign tools."""

import csv
import io
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

from serving.instants import to_datetime
from serving.store.kpis import UserSegment
from serving.store.scores import Score
from serving.workers import Workers

T = TypeVar("T")

COLUMNS: Final = (
    "user_id",
    "status",
    "horizon_days",
    "probability",
    "threshold",
    "at_risk",
    "last_active_at",
    "changed_at",
    "as_of",
    "model_version",
    "model_digest",
)
_SEGMENTS: Final = ("user_id", "tier", "stage")
_FORMULA: Final = tuple("=+-@＝＋－＠")
"""What makes a spreadsheet compute a cell; full-width forms are taken for the others (OWASP, CSV injection)."""


def csv_of(parts: AsyncIterator[Sequence[Score]], workers: Workers) -> AsyncIterator[str]:
    """Users by risk: the header, then the rows of each part."""
    return _csv_of(parts, COLUMNS, _row, workers)


def segments_csv_of(parts: AsyncIterator[Sequence[UserSegment]], workers: Workers) -> AsyncIterator[str]:
    """Users with their tiers and stages: the header, then the rows of each part."""
    return _csv_of(parts, _SEGMENTS, lambda one: [_inert(one.user_id), one.tier, one.stage], workers)


async def _csv_of(
    parts: AsyncIterator[Sequence[T]], columns: Sequence[str], row: Callable[[T], list[Any]], workers: Workers
) -> AsyncIterator[str]:
    yield _written([columns])
    async for rows in parts:
        yield await workers.run(len(rows), _written, map(row, rows))


def _row(score: Score) -> list[Any]:
    return [
        _inert(score.user_id),
        score.status,
        score.horizon_days,
        score.probability,
        score.threshold,
        "" if score.at_risk is None else str(score.at_risk).lower(),
        _instant(score.last_active_at),
        _instant(score.changed_at),
        _instant(score.run.as_of),
        _inert(score.run.version),
        score.run.digest,
    ]


def _inert(text: str) -> str:
    """The text, with an apostrophe before it where a spreadsheet would take it for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _instant(instant: int | None) -> str:
    return "" if instant is None else to_datetime(instant).isoformat().replace("+00:00", "Z")


def _written(rows: Iterable[Sequence[Any]]) -> str:
    written = io.StringIO(newline="")
    csv.writer(written).writerows(rows)
    return written.getvalue()

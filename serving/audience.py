"""A list of users as CSV (RFC 4180), for spreadsheets and campaign tools."""

import csv
import io
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar
from urllib.parse import quote

from features.state import COMMUNITY_OFFSET_US
from serving.instants import to_datetime
from serving.lists import Listed
from serving.members import Member
from serving.workers import Workers

T = TypeVar("T")

COLUMNS: Final = (
    "user_id",
    "status",
    "horizon_days",
    "probability",
    "threshold",
    "at_risk",
    "withheld",
    "last_active_at",
    "changed_at",
    "as_of",
    "model_version",
)
_MEMBERS: Final = ("user_id", "tier", "stage", "probability", "withheld")
_BOM: Final = "\ufeff"
"""By which spreadsheets know UTF-8."""
_FORMULA: Final = tuple("=+-@＝＋－＠")
"""What makes a spreadsheet compute a cell; full-width forms are taken for the others (OWASP, CSV injection)."""


def attachment(name: str, now: int) -> dict[str, str]:
    """The header that has an answer saved as a file, named for what it is and the community's date (RFC 6266)."""
    dated = f"{name}_{_local(now):%Y-%m-%d}.csv"
    return {"Content-Disposition": f"attachment; filename=\"users.csv\"; filename*=UTF-8''{quote(dated)}"}


def csv_of(parts: AsyncIterator[Sequence[Listed]], workers: Workers) -> AsyncIterator[str]:
    """Users by risk: the header, then the rows of each part."""
    return _csv_of(parts, COLUMNS, _row, workers)


def members_csv_of(parts: AsyncIterator[Sequence[Member]], workers: Workers) -> AsyncIterator[str]:
    """Users with their tiers and stages: the header, then the rows of each part."""
    return _csv_of(parts, _MEMBERS, _member_row, workers)


async def _csv_of(
    parts: AsyncIterator[Sequence[T]], columns: Sequence[str], row: Callable[[T], list[Any]], workers: Workers
) -> AsyncIterator[str]:
    yield _BOM + _written([columns])
    async for rows in parts:
        yield await workers.run(len(rows), _written, map(row, rows))


def _row(listed: Listed) -> list[Any]:
    score = listed.score
    return [
        _inert(score.user_id),
        score.status,
        score.horizon_days,
        _probability(score.probability),
        _probability(score.threshold),
        "" if score.at_risk is None else str(score.at_risk).lower(),
        " ".join(listed.withheld),
        _instant(score.last_active_at),
        _instant(score.changed_at),
        _instant(score.run.as_of),
        _inert(score.run.version),
    ]


def _member_row(member: Member) -> list[Any]:
    user_id, tier, stage = member.segment
    return [_inert(user_id), tier, stage, _probability(member.probability), " ".join(member.withheld)]


def _probability(probability: float | None) -> str:
    return "" if probability is None else f"{probability:.4f}"


def _inert(text: str) -> str:
    """The text, with an apostrophe before it where a spreadsheet would take it for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _instant(instant: int | None) -> str:
    """The community's local time, as spreadsheets read it."""
    return "" if instant is None else f"{_local(instant):%Y-%m-%d %H:%M:%S}"


def _local(instant: int) -> datetime:
    return to_datetime(instant + COMMUNITY_OFFSET_US)


def _written(rows: Iterable[Sequence[Any]]) -> str:
    written = io.StringIO(newline="")
    csv.writer(written).writerows(rows)
    return written.getvalue()

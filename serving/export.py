"""Writes the journal as a dataset in the contract, which every pipeline reads: ``events.csv`` and ``users.csv``."""

import csv
import json
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from features.schema import EVENTS, USERS, ColumnType, Table
from serving.errors import ServingError
from serving.instants import to_datetime
from serving.store.journal import Fact, FactType, Journal

_PAGE: Final = 5_000


class Exported(NamedTuple):
    """How many rows are written of each table."""

    n_events: int
    n_users: int


async def export_events(journal: Journal, folder: Path, *, since: int, now: int) -> AsyncIterator[Exported]:
    """Write the events that occurred from ``since`` to ``now``, and every profile in force; what is written so far.

    The folder appears whole, at the end; a page is in memory at a time. A table without rows, which the contract does
    not allow, is left out. ServingError for a folder that is not empty, or where there is nothing to write.
    """
    _require_free(folder)
    with _staged(folder) as staging:
        with closing(_TableFile(staging, EVENTS)) as events, closing(_TableFile(staging, USERS)) as users:
            async for facts in _pages(journal):
                occurred = (one for one in facts if one.type == FactType.EVENT and since <= one.occurred_at <= now)
                events.write(one._asdict() for one in occurred)
                users.write(_user(one, now) for one in facts if one.type == FactType.PROFILE)
                yield Exported(events.n_rows, users.n_rows)
        if not any(staging.iterdir()):
            raise ServingError("there is nothing to export")


async def _pages(journal: Journal) -> AsyncIterator[list[Fact]]:
    """Everything in the journal up to where it ends now."""
    end, reached = await journal.last_seq(), 0
    while reached < end and (page := await journal.page(reached, limit=_PAGE)):
        reached = page[-1][0]
        yield [fact for seq, fact in page if seq <= end]


def _user(fact: Fact, now: int) -> dict[str, Any]:
    """A profile as a row; a registration that lies ahead (clocks differ) is not known yet."""
    profile = {"user_id": fact.user_id, **json.loads(fact.body or "{}")}
    is_past = (profile.get("registered_at") or 0) <= now
    return profile if is_past else {**profile, "registered_at": None}


class _TableFile:
    """A CSV file being written: a header, then rows in the order and types of the table's columns."""

    def __init__(self, folder: Path, table: Table) -> None:
        self.n_rows = 0
        self._path = folder / f"{table.name}.csv"
        self._file = self._path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file)
        self._columns = table.columns
        self._writer.writerow([column.name for column in table.columns])

    def write(self, rows: Iterator[Mapping[str, Any]]) -> None:
        """Add rows: mappings by column."""
        for row in rows:
            self._writer.writerow([_text(row.get(column.name), column.type) for column in self._columns])
            self.n_rows += 1

    def close(self) -> None:
        """End the file; one without rows goes."""
        self._file.close()
        if not self.n_rows:
            self._path.unlink()


def _text(value: Any, column: ColumnType) -> Any:
    """A value as the contract writes it in CSV."""
    if value is None:
        return None
    match column:
        case ColumnType.TIMESTAMP:
            return to_datetime(value).isoformat()
        case ColumnType.BOOLEAN:
            return "true" if value else "false"
        case _:
            return value


def _require_free(folder: Path) -> None:
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ServingError(f"{folder} is there and not an empty folder: choose another, or remove it")


@contextmanager
def _staged(folder: Path) -> Iterator[Path]:
    """A folder beside the wanted one that takes its place at the end; what an earlier try left there goes."""
    staging = folder.absolute().with_name(f".{folder.name}.part")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True, mode=0o700)
    try:
        yield staging
        staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)

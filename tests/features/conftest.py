"""Small tables, histories and crowds that the tests of features share."""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.schema import EVENT_KINDS, kind_code
from features.snapshots import EventLog, Snapshot
from features.sources import Dataset
from features.state import Event, UserState, thousandths


def _at(text: str) -> int:
    instant = datetime.fromisoformat(text)
    since = (instant if instant.tzinfo else instant.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


@pytest.fixture(scope="session")
def at() -> Callable[[str], int]:
    """Microseconds since 1970 of an ISO instant; UTC when it names no offset."""
    return _at


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False)
    return "" if value is None else str(value)


def _write(file: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(list(rows)), file)
        return file
    with file.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(rows[0])
        writer.writerows([_cell(value) for value in row.values()] for row in rows)
    return file


@pytest.fixture(scope="session")
def write() -> Callable[[Path, Sequence[Mapping[str, Any]]], Path]:
    """Write rows as the Parquet or CSV file that the name asks for."""
    return _write


@pytest.fixture(scope="session")
def dataset() -> Callable[[Path], Dataset]:
    """Open a folder as of 2025."""
    return lambda folder: Dataset(folder, now=_at("2025-01-01"))


@pytest.fixture
def snapshots(tmp_path: Path) -> Callable[..., list[Snapshot]]:
    """Snapshots of a log given as (user, event, instant[, value]), at instants given as text."""

    def build(
        log: Sequence[tuple[Any, ...]], *as_of: str, users: Sequence[Mapping[str, Any]] = (), **options: int
    ) -> list[Snapshot]:
        rows = [
            {
                "event_id": f"e{place}",
                "user_id": user,
                "event": event,
                "occurred_at": datetime.fromisoformat(instant).replace(tzinfo=UTC),
                "value": value[0] if value else None,
            }
            for place, (user, event, instant, *value) in enumerate(log)
        ]
        _write(tmp_path / "events.parquet", rows)
        if users:
            _write(tmp_path / "users.csv", users)
        opened = Dataset(tmp_path, now=_at("2100-01-01"))
        return list(EventLog(opened, [_at(instant) for instant in as_of]).snapshots(**options))

    return build


@pytest.fixture(scope="session")
def state() -> Callable[..., UserState]:
    """The state of a history given as (event, instant[, value])."""

    def build(*history: tuple[Any, ...]) -> UserState:
        return UserState().fold(
            Event(kind_code(event), _at(instant), thousandths(value[0] if value else None))
            for event, instant, *value in history
        )

    return build


@pytest.fixture(scope="session")
def crowd() -> list[UserState]:
    """Fifty users with up to eighty events of every kind in the three years before 2024; the first did nothing."""
    rng = np.random.default_rng(7)
    first, last = _at("2021-01-01"), _at("2024-01-01")
    return [
        UserState().fold(
            Event(int(rng.integers(len(EVENT_KINDS))), int(rng.integers(first, last)), int(rng.integers(-500, 90_000)))
            for _ in range(int(n))
        )
        for n in [0, *rng.integers(1, 80, 49)]
    ]

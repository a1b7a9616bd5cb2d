"""Writes a dataset in the contract: CSV files in a folder that appears whole, at the end."""

import csv
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from features.schema import ColumnType, Table
from serving.errors import ServingError
from serving.instants import to_datetime


class TableFile:
    """A CSV file being written: a header, then rows in the order and types of the table's columns."""

    def __init__(self, folder: Path, table: Table) -> None:
        self.n_rows = 0
        self._path = folder / f"{table.name}.csv"
        self._path.touch(mode=0o600)
        self._file = self._path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file)
        self._columns = table.columns
        self._writer.writerow([column.name for column in table.columns])

    def write(self, rows: Iterable[Mapping[str, Any]]) -> None:
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


def require_free(folder: Path) -> None:
    """ServingError for a folder that is there and not empty."""
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ServingError(f"{folder} is there and not an empty folder: choose another, or remove it")


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A folder beside the wanted one that takes its place at the end; what an earlier try left there goes."""
    staging = folder.absolute().with_name(f".{folder.name}.part")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True, mode=0o700)
    try:
        yield staging
        staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)

"""Reads a dataset: a folder of Parquet or CSV tables, each checked against the contract before a row is used.

The only file that knows how tables lie on disk. Everything runs inside DuckDB, so a table larger than memory is
checked and read in pieces.
"""
# ruff: noqa: S608 (the SQL is made of the contract's own names; paths, headers and values are bound, never pasted)

import csv
import hashlib
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb

from features.errors import DataError
from features.schema import EVENT_KINDS, TABLES, Column, ColumnType, Table

MEMORY_LIMIT: Final = "2GB"
"""What DuckDB may hold before it spills to disk; 20M events aggregate within it."""

_N_SHOWN: Final = 3
_HAS_ZONE: Final = r":\d{2}(\.\d+)?(Z| ?UTC|[+-]\d{2}(:?\d{2})?)\s*$"
_WHOLE = ("BIGINT", "INTEGER", "SMALLINT", "TINYINT", "UBIGINT", "UINTEGER", "USMALLINT", "UTINYINT")
_TYPES: Final = {
    # contract type: the SQL type it becomes, and the types it may have in a Parquet file
    ColumnType.STRING: ("VARCHAR", ("VARCHAR", "ENUM")),
    ColumnType.TIMESTAMP: ("TIMESTAMP WITH TIME ZONE", ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ_NS")),
    ColumnType.NUMBER: ("DOUBLE", ("DOUBLE", "FLOAT", "DECIMAL", *_WHOLE)),
    ColumnType.INTEGER: ("BIGINT", _WHOLE),
    ColumnType.BOOLEAN: ("BOOLEAN", ("BOOLEAN",)),
    ColumnType.STRINGS: ("VARCHAR[]", ("VARCHAR[]",)),
}


@dataclass(frozen=True, slots=True)
class TableSummary:
    """What a checked table holds; ``unknown_events`` counts names outside the vocabulary, which count as ``other``."""

    name: str
    file: str
    n_rows: int
    unknown_events: dict[str, int]


class Dataset:
    """A folder in the contract, checked as it is opened; a view per table stands ready in ``connection``.

    ``now`` (microseconds since 1970 UTC) is the instant after which an event lies in the future. Raises DataError
    naming file, column, count and first bad values of every rule that the first bad table breaks.
    """

    def __init__(self, folder: Path, *, now: int) -> None:
        self.folder = folder
        self.now = now
        self.files = _find_tables(folder)
        self.connection = _connect()
        self.summaries = {name: self._open(TABLES[name], file, now) for name, file in self.files.items()}
        for name in TABLES.keys() - self.files.keys():
            self.connection.execute(_typed_view(TABLES[name], (), source="range(0)", text=False))

    def require(self, table: str) -> None:
        """DataError unless the folder has this table."""
        if table not in self.files:
            raise DataError(f"{self.folder}: expected {table}.parquet or {table}.csv")

    def digest(self) -> str:
        """SHA-256 over the names and bytes of the tables: what a model says it was trained on."""
        total = hashlib.sha256()
        for name, file in sorted(self.files.items()):
            with file.open("rb") as opened:
                total.update(f"{name} {hashlib.file_digest(opened, 'sha256').hexdigest()}\n".encode())
        return total.hexdigest()

    def _open(self, table: Table, file: Path, now: int) -> TableSummary:
        try:
            raw = _read(self.connection, file)
            raw.create_view(f"raw_{table.name}")
            text = file.suffix == ".csv"
            misfits = _misfits(table, raw, text=text)
            columns = [column for column in table.columns if column.name in raw.columns and column.name not in misfits]
            problems = [*misfits.values(), *_value_problems(self.connection, table, columns, text=text, now=now)]
            if problems:
                raise DataError("\n".join(f"{file}: {problem}" for problem in problems))
            view = _typed_view(table, raw.columns, source=f"raw_{table.name}", text=text)
            self.connection.execute(view)
            return self._summary(table, file)
        except (duckdb.Error, csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"{file}: can't be read: {_reason(error)}") from error

    def _summary(self, table: Table, file: Path) -> TableSummary:
        n_rows = self.connection.execute(f"SELECT count(*) FROM {table.name}").fetchall()[0][0]
        unknown = {}
        if table.name == "events":
            sql = "SELECT event, count(*) FROM events WHERE NOT list_contains(?, event) GROUP BY 1 ORDER BY 2 DESC, 1"
            unknown = dict(self.connection.execute(sql, [list(EVENT_KINDS)]).fetchall())
        return TableSummary(table.name, file.name, n_rows, unknown)


def _find_tables(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise DataError(f"{folder}: not a folder")
    found: dict[str, Path] = {}
    for name in TABLES:
        files = [file for suffix in ("parquet", "csv") if (file := folder / f"{name}.{suffix}").is_file()]
        if len(files) > 1:
            raise DataError(f"{folder}: both {files[0].name} and {files[1].name}; keep one")
        if files:
            found[name] = files[0]
    if not found:
        raise DataError(f"{folder}: no table of the contract ({', '.join(TABLES)}) as .parquet or .csv")
    return found


def _connect() -> duckdb.DuckDBPyConnection:
    """A database in memory, with a spill folder of its own and no network."""
    spill = Path(tempfile.gettempdir()) / f"mingjian-{uuid.uuid4().hex}"
    return duckdb.connect(
        config={"memory_limit": MEMORY_LIMIT, "temp_directory": str(spill), "autoinstall_known_extensions": False}
    )


def _reason(error: Exception) -> str:
    """What the reader said, without the offending line: that may hold a user's words."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    lines = [line for line in str(error).splitlines() if not line.startswith("Original Line")]
    return "; ".join(line for line in lines[:3] if line and not line.startswith("Possible"))


def _read(connection: duckdb.DuckDBPyConnection, file: Path) -> duckdb.DuckDBPyRelation:
    if file.stat().st_size == 0:
        raise DataError(f"{file}: the file is empty (0 bytes)")
    if file.suffix == ".parquet":
        return connection.read_parquet(str(file))
    names = _header(file)
    return connection.sql(
        "SELECT * FROM read_csv(?, columns = ?, header = true, auto_detect = false, delim = ',', quote = '\"', "
        "escape = '\"', nullstr = '')",
        params=[str(file), dict.fromkeys(names, "VARCHAR")],
    )


def _header(file: Path) -> list[str]:
    with file.open(encoding="utf-8-sig", newline="") as opened:
        names = next(csv.reader(opened), [])
    if not any(names):
        raise DataError(f"{file}: the first line holds no column names")
    lowered = [name.lower() for name in names if name]
    if repeated := sorted({name for name in lowered if lowered.count(name) > 1}):
        raise DataError(f"{file}: the header names {', '.join(repeated)} more than once")
    return [name or f"unnamed_{place}" for place, name in enumerate(names)]


def _misfits(table: Table, raw: duckdb.DuckDBPyRelation, *, text: bool) -> dict[str, str]:
    """What is wrong with the columns that are missing or have the wrong type, by name."""
    types = dict(zip(raw.columns, map(str, raw.types), strict=True))
    misfits = {}
    for column in table.columns:
        actual = types.get(column.name, "").strip('"')
        if not actual:
            if not column.optional:
                misfits[column.name] = f"column {column.name} is missing (found: {', '.join(raw.columns)})"
        elif not (text or _fits(column, actual)):
            misfits[column.name] = f"column {column.name} has type {actual.lower()}, expected {column.type}"
    return misfits


def _fits(column: Column, actual: str) -> bool:
    allowed = _TYPES[column.type][1]
    return actual.split("(")[0] in allowed or (column.nullable and actual == "NULL")


def _typed(column: Column, *, text: bool) -> str:
    """SQL for a column's value in its contract type; a text that is no such value becomes null."""
    return f'{"TRY_CAST" if text else "CAST"}("{column.name}" AS {_TYPES[column.type][0]})'


def _typed_view(table: Table, present: Sequence[str], *, source: str, text: bool) -> str:
    """SQL for the view of a table with every column of the contract, absent ones as nulls."""
    columns = []
    for column in table.columns:
        absent = f"CAST(NULL AS {_TYPES[column.type][0]})"
        columns.append(f'{_typed(column, text=text) if column.name in present else absent} AS "{column.name}"')
    return f"CREATE VIEW {table.name} AS SELECT {', '.join(columns)} FROM {source}"


def _value_problems(
    connection: duckdb.DuckDBPyConnection, table: Table, columns: Sequence[Column], *, text: bool, now: int
) -> list[str]:
    raw = f"raw_{table.name}"
    rules = [(column.name, *rule) for column in columns for rule in _rules(column, text=text, now=now)]
    counts = ["count(*)", *(f"count(*) FILTER (WHERE {condition})" for _, _, condition in rules)]
    n_rows, *n_bad = connection.execute(f"SELECT {', '.join(counts)} FROM {raw}").fetchall()[0]
    if n_rows == 0:
        return ["the file is empty (0 rows)"]
    problems = []
    for (name, what, condition), n in zip(rules, n_bad, strict=True):
        if n:
            first = f'SELECT CAST("{name}" AS VARCHAR) FROM {raw} WHERE {condition} LIMIT {_N_SHOWN}'
            problems.append(_problem(name, what, n, connection.execute(first).fetchall()))
    problems += [
        _problem(column.name, "not unique", repeated[0][1], repeated)
        for column in columns
        if column.unique and (repeated := _repeated(connection, raw, column.name))
    ]
    return problems


def _problem(column: str, what: str, n: int, first: Sequence[tuple[Any, ...]]) -> str:
    shown = ", ".join(value[:80] for value, *_ in first if value is not None)
    return f"column {column}: {n:,} row{'s' * (n > 1)} {what}" + (f"; first: {shown}" if shown else "")


def _rules(column: Column, *, text: bool, now: int) -> Iterator[tuple[str, str]]:
    """(what is wrong, SQL condition of a bad row) for each rule that a column's values must obey."""
    raw, value = f'"{column.name}"', _typed(column, text=text)
    if not column.nullable:
        yield "missing", f"{raw} IS NULL" + (f" OR {raw} = ''" if column.name.endswith("_id") else "")
    if text and column.type is ColumnType.INTEGER:  # 3.0 is one, as some tools write it; 1.5 is none
        yield f"not a {column.type}", f"{raw} IS NOT NULL AND coalesce(TRY_CAST({raw} AS DOUBLE) <> {value}, true)"
    elif text and column.type is not ColumnType.STRING:
        yield f"not a {column.type}", f"{raw} IS NOT NULL AND {value} IS NULL"
    if column.type is ColumnType.TIMESTAMP:
        if text:
            yield (
                "without an offset such as Z or +08:00",
                f"{value} IS NOT NULL AND NOT regexp_matches({raw}, '{_HAS_ZONE}')",
            )
        yield "infinite", f"NOT isfinite({value})"
        at = f"epoch_us({value})"
        yield "before 1970", f"{at} < 0"
        if column.past:
            yield "in the future", f"{at} > {now}"
    if column.type is ColumnType.NUMBER:
        yield "NaN or infinite", f"NOT isfinite({value})"
        value = f"isfinite({value}) AND {value}"
    if column.low is not None:
        yield f"below {column.low:g}", f"{value} < {column.low}"
    if column.high is not None:
        yield f"above {column.high:g}", f"{value} > {column.high}"


def _repeated(connection: duckdb.DuckDBPyConnection, raw: str, name: str) -> list[tuple[str, int]]:
    """The first values that occur more than once, each beside the number of all rows that hold such a value.

    Found by 64-bit hash first: 20M ids then need no 20M strings in memory.
    """
    suspects = f'SELECT hash("{name}") FROM {raw} GROUP BY 1 HAVING count(*) > 1'
    return connection.execute(f"""
SELECT id, CAST(sum(n) OVER () AS BIGINT)
FROM (SELECT "{name}" AS id, count(*) AS n FROM {raw} WHERE hash("{name}") IN ({suspects}) GROUP BY 1 HAVING n > 1)
WHERE id <> '' ORDER BY id LIMIT {_N_SHOWN}
""").fetchall()

"""Reads a dataset: a folder of Parquet or CSV tables, each checked against the contract before a row is used.

The only file that knows how tables lie on disk. Everything runs inside DuckDB, so a table larger than memory is
checked and read in pieces.
"""
# ruff: noqa: S608 (the SQL is made of the contract's own names; paths, headers and values are bound, never pasted)

import csv
import hashlib
import re
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb

from features.errors import DataError
from features.ids import MAX_CHARS, PATH_STEPS, PATTERN
from features.schema import EVENT_KINDS, TABLES, Column, ColumnType, Table
from features.table_files import TableFiles, find_tables, open_text

MEMORY_LIMIT: Final = "2GB"
"""What DuckDB may hold before it spills to disk; 20M events aggregate within it."""

_N_SHOWN: Final = 3
_HAS_ZONE: Final = r":\d{2}(\.\d+)?(Z| ?UTC|[+-]\d{2}(:?\d{2})?)\s*$"
_SPOILT: Final = r"^\d(\.\d+)?E\+\d+$"
"""A long number as spreadsheets write it: its last digits are gone."""
_TEXT: Final = "TEXT"
"""The kind of every column of a CSV."""
_WHOLE: Final = ("BIGINT", "INTEGER", "SMALLINT", "TINYINT", "UBIGINT", "UINTEGER", "USMALLINT", "UTINYINT")
_FLOATING: Final = ("DOUBLE", "FLOAT")
_NUMBERS: Final = (*_FLOATING, "DECIMAL", *_WHOLE)
_TYPES: Final = {
    # contract type: the SQL type it becomes, and the types it may have in a Parquet file
    ColumnType.STRING: ("VARCHAR", ("VARCHAR", "ENUM")),
    ColumnType.TIMESTAMP: ("TIMESTAMP WITH TIME ZONE", ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ_NS")),
    ColumnType.NUMBER: ("DOUBLE", _NUMBERS),
    ColumnType.INTEGER: ("BIGINT", _NUMBERS),
    ColumnType.BOOLEAN: ("BOOLEAN", ("BOOLEAN", *_NUMBERS)),
    ColumnType.STRINGS: ("VARCHAR[]", ("VARCHAR[]",)),
}
_ID_TYPES: Final = (*_WHOLE, "UUID")
"""What an id may be beside a string: its text loses nothing."""
_READER_SAYS: Final = re.compile(
    r"CSV Error on Line: \d+|Expected Number of Columns: \d+ Found: \d+|Value with unterminated quote found\."
    r"|Maximum line size of \d+ bytes exceeded"
)


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
        self.files = find_tables(folder)
        self.connection = _connect()
        self.summaries = {name: self._open(TABLES[name], file, now) for name, file in self.files.items()}
        for name in TABLES.keys() - self.files.keys():
            self.connection.execute(_typed_view(TABLES[name], {}, source="range(0)"))

    def require(self, table: str) -> None:
        """DataError unless the folder has this table."""
        if table not in self.files:
            raise DataError(f"{self.folder}: expected {table}.parquet or {table}.csv")

    def digest(self) -> str:
        """SHA-256 over the names and bytes of the tables: what a model says it was trained on."""
        total = hashlib.sha256()
        for name, files in sorted(self.files.items()):
            total.update(f"{name} {files.digest()}\n".encode())
        return total.hexdigest()

    def _open(self, table: Table, files: TableFiles, now: int) -> TableSummary:
        try:
            raw = _read(self.connection, files)
            raw.create_view(f"raw_{table.name}")
            kinds = dict(zip(raw.columns, [_TEXT if files.is_csv else str(one) for one in raw.types], strict=True))
            misfits = _misfits(table, kinds)
            columns = [column for column in table.columns if column.name in kinds and column.name not in misfits]
            problems = [*misfits.values(), *_value_problems(self.connection, table, columns, kinds, now=now)]
            if problems:
                raise DataError("\n".join(f"{files.path}: {problem}" for problem in problems))
            self.connection.execute(_typed_view(table, kinds, source=f"raw_{table.name}"))
            return self._summary(table, files.path)
        except (duckdb.Error, csv.Error, OSError, EOFError, UnicodeDecodeError) as error:
            raise DataError(f"{files.path}: can't be read: {_reason(error)}") from error

    def _summary(self, table: Table, file: Path) -> TableSummary:
        n_rows = self.connection.execute(f"SELECT count(*) FROM {table.name}").fetchall()[0][0]
        unknown = {}
        if table.name == "events":
            sql = "SELECT event, count(*) FROM events WHERE NOT list_contains(?, event) GROUP BY 1 ORDER BY 2 DESC, 1"
            unknown = dict(self.connection.execute(sql, [list(EVENT_KINDS)]).fetchall())
        return TableSummary(table.name, file.name, n_rows, unknown)


def _connect() -> duckdb.DuckDBPyConnection:
    """A database in memory, with a spill folder of its own and no network."""
    spill = Path(tempfile.gettempdir()) / f"mingjian-{uuid.uuid4().hex}"
    return duckdb.connect(
        config={"memory_limit": MEMORY_LIMIT, "temp_directory": str(spill), "autoinstall_known_extensions": False}
    )


def _reason(error: Exception) -> str:
    """What the reader said, without the lines in question: they may hold a user's words."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    first = str(error).partition("\n")[0]
    told = _READER_SAYS.findall(str(error))
    return f"{first.partition(': ')[0]}: {'; '.join(told)}" if told else first[:200]


def _read(connection: duckdb.DuckDBPyConnection, files: TableFiles) -> duckdb.DuckDBPyRelation:
    for part in files.parts:
        if part.stat().st_size == 0:
            raise DataError(f"{part}: the file is empty (0 bytes)")
    return _read_csv(connection, files) if files.is_csv else _read_parquet(connection, files)


def _read_parquet(connection: duckdb.DuckDBPyConnection, files: TableFiles) -> duckdb.DuckDBPyRelation:
    """Columns of parts by name, those that folders are named for (``day=2024-05-01``) as text.

    A timestamp in the old 96-bit form, which Spark writes unless told otherwise, is an instant in UTC.
    """
    parts = [str(part) for part in files.parts]
    sql = "SELECT DISTINCT name FROM parquet_schema(?) WHERE type = 'INT96' ORDER BY 1"
    old = [name for (name,) in connection.execute(sql, [parts]).fetchall()]
    replaced = ", ".join(f"make_timestamptz(epoch_us({_quoted(name)})) AS {_quoted(name)}" for name in old)
    return connection.sql(
        f"SELECT *{f' REPLACE ({replaced})' if old else ''} FROM read_parquet(?, union_by_name = true, "
        f"hive_partitioning = {files.is_folder}, hive_types_autocast = false)",
        params=[parts],
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _read_csv(connection: duckdb.DuckDBPyConnection, files: TableFiles) -> duckdb.DuckDBPyRelation:
    names = _header(files.parts[0])
    for part in files.parts[1:]:
        if _header(part) != names:
            raise DataError(f"{part}: the columns are others than those of {files.parts[0].name}")
    return connection.sql(
        "SELECT * FROM read_csv(?, columns = ?, header = true, auto_detect = false, delim = ',', quote = '\"', "
        "escape = '\"', nullstr = '')",
        params=[[str(part) for part in files.parts], dict.fromkeys(names, "VARCHAR")],
    )


def _header(file: Path) -> list[str]:
    with open_text(file) as opened:
        names = next(csv.reader(opened), [])
    if not any(names):
        raise DataError(f"{file}: the first line holds no column names")
    if len(names) == 1 and (others := [mark for mark in (";", "\t", "|") if mark in names[0]]):
        raise DataError(f"{file}: the columns are separated by {others[0]!r}, expected ','")
    lowered = [name.lower() for name in names if name]
    if repeated := sorted({name for name in lowered if lowered.count(name) > 1}):
        raise DataError(f"{file}: the header names {', '.join(repeated)} more than once")
    return [name or f"unnamed_{place}" for place, name in enumerate(names)]


def _misfits(table: Table, kinds: Mapping[str, str]) -> dict[str, str]:
    """What is wrong with the columns that are missing or have the wrong type, by name."""
    misfits = {}
    for column in table.columns:
        actual = kinds.get(column.name, "").strip('"')
        if not actual:
            if not column.optional:
                misfits[column.name] = f"column {column.name} is missing (found: {', '.join(kinds)})"
        elif not _fits(column, actual):
            misfits[column.name] = f"column {column.name} has type {actual.lower()}, expected {column.type}"
    return misfits


def _fits(column: Column, actual: str) -> bool:
    kind = actual.split("(")[0]
    if kind == _TEXT or (column.nullable and kind == "NULL"):
        return True
    return kind in _TYPES[column.type][1] or (_is_id(column) and kind in _ID_TYPES)


def _is_id(column: Column) -> bool:
    return column.name.endswith("_id")


def _given(column: Column, kind: str) -> str:
    """SQL for what stands in a column: where pandas had to make floats of whole numbers or flags, NaN is missing."""
    is_made = kind in _FLOATING and column.type in {ColumnType.INTEGER, ColumnType.BOOLEAN}
    return f'CASE WHEN isnan("{column.name}") THEN NULL ELSE "{column.name}" END' if is_made else f'"{column.name}"'


def _typed(column: Column, kind: str) -> str:
    """SQL for a column's value in its contract type; what is no such value becomes null."""
    return f"TRY_CAST({_given(column, kind)} AS {_TYPES[column.type][0]})"


def _typed_view(table: Table, kinds: Mapping[str, str], *, source: str) -> str:
    """SQL for the view of a table with every column of the contract, absent ones as nulls."""
    columns = []
    for column in table.columns:
        absent = f"CAST(NULL AS {_TYPES[column.type][0]})"
        value = _typed(column, kinds[column.name]) if column.name in kinds else absent
        columns.append(f'{value} AS "{column.name}"')
    return f"CREATE VIEW {table.name} AS SELECT {', '.join(columns)} FROM {source}"


def _value_problems(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    columns: Sequence[Column],
    kinds: Mapping[str, str],
    *,
    now: int,
) -> list[str]:
    raw = f"raw_{table.name}"
    rules = [(column.name, *rule) for column in columns for rule in _rules(column, kinds[column.name], now=now)]
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


def _rules(column: Column, kind: str, *, now: int) -> Iterator[tuple[str, str]]:
    """(what is wrong, SQL condition of a bad row) for each rule that a column's values must obey."""
    raw, given, value = f'"{column.name}"', _given(column, kind), _typed(column, kind)
    if not column.nullable:
        yield "missing", f"{raw} IS NULL" + (f" OR CAST({raw} AS VARCHAR) = ''" if _is_id(column) else "")
    if _is_id(column):
        yield from _id_rules(column, kind)
    if column.type is not ColumnType.STRING:
        yield f"not a {column.type}", f"{given} IS NOT NULL AND ({value} IS NULL{_differs(column, kind)})"
    if column.type is ColumnType.TIMESTAMP:
        if kind == _TEXT:
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


def _differs(column: Column, kind: str) -> str:
    """SQL for what a value can be that its contract type would round: 1.5 of a whole number, 2 of a flag."""
    given = _given(column, kind)
    if column.type is ColumnType.INTEGER:  # 3.0 is one, as some tools write it
        return f" OR TRY_CAST({given} AS DOUBLE) <> {_typed(column, kind)}"
    if column.type is ColumnType.BOOLEAN and kind.split("(")[0] in _NUMBERS:
        return f" OR {given} NOT IN (0, 1)"
    return ""


def _id_rules(column: Column, kind: str) -> Iterator[tuple[str, str]]:
    """Those of ids: their grammar (``features.ids``), and that no spreadsheet has taken them for numbers."""
    value, steps = _typed(column, kind), ", ".join(f"'{step}'" for step in PATH_STEPS)
    no_id = f"(length({value}) > {MAX_CHARS} OR {value} IN ({steps}) OR NOT regexp_matches({value}, '{PATTERN}'))"
    yield "with no id", no_id + ("" if column.nullable else f" AND {value} <> ''")
    if kind == _TEXT:
        yield "rounded by a spreadsheet", f"regexp_matches(\"{column.name}\", '{_SPOILT}')"


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

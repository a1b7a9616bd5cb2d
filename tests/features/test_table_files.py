"""The same table is the same whoever wrote it: pandas, Arrow, DuckDB, Spark's folders of parts, spreadsheets."""

import gzip
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import DataError
from features.sources import Dataset

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
USERS = [("1", 1_714_564_800_000_000, 3, True), ("2", None, None, None)]
FRAME = {
    "user_id": ["1", "2"],
    "registered_at": pd.to_datetime([NOON, None], utc=True),
    "n_followers": [3.0, None],  # what pandas makes of a whole number and a missing one
    "is_minor": [True, None],
}


def arrow(**changed: Any) -> pa.Table:
    return pa.table(FRAME | {"registered_at": pa.array([NOON, None], pa.timestamp("us", "UTC"))} | changed)


def by_pandas(folder: Path) -> None:
    pd.DataFrame(FRAME).to_parquet(folder / "users.parquet")


def by_pandas_with_whole_ids(folder: Path) -> None:
    pd.DataFrame(FRAME | {"user_id": [1, 2], "is_minor": [1.0, float("nan")]}).to_parquet(folder / "users.parquet")


def by_pandas_as_packed_csv(folder: Path) -> None:
    pd.DataFrame(FRAME).to_csv(folder / "users.csv.gz")


def by_duckdb(folder: Path) -> None:
    duckdb.connect().from_df(pd.DataFrame(FRAME)).write_parquet(str(folder / "users.parquet"))


def by_arrow_in_96_bits(folder: Path) -> None:
    pq.write_table(arrow(), folder / "users.parquet", use_deprecated_int96_timestamps=True)


def with_nan_for_missing(folder: Path) -> None:
    pq.write_table(arrow(n_followers=pa.array([3, float("nan")])), folder / "users.parquet")


def with_numbers_for_flags(folder: Path) -> None:
    pq.write_table(arrow(is_minor=pa.array([1, None], pa.int8())), folder / "users.parquet")


def with_decimals(folder: Path) -> None:
    pq.write_table(arrow(n_followers=pa.array([3, None]).cast(pa.decimal128(20, 0))), folder / "users.parquet")


def by_spark_in_parts(folder: Path) -> None:
    parts = folder / "users.parquet"
    parts.mkdir()
    (parts / "_SUCCESS").touch()
    (parts / ".part-00000.crc").write_bytes(b"crc")
    (parts / "_temporary").mkdir()
    pq.write_table(arrow(), parts / "_temporary" / "part-9.parquet")
    for place in range(2):
        part = arrow().slice(place, 1)
        pq.write_table(part.select(part.column_names[::-1]), parts / f"part-0000{place}.snappy.parquet")


def by_spark_partitioned(folder: Path) -> None:
    for place, user_id in enumerate(("1", "2")):
        part = folder / "users.parquet" / f"user_id={user_id}"
        part.mkdir(parents=True)
        pq.write_table(arrow().slice(place, 1).drop_columns("user_id"), part / "part-0.parquet")


def by_spark_as_csv(folder: Path) -> None:
    parts = folder / "users.csv"
    parts.mkdir()
    header = "user_id,registered_at,n_followers,is_minor\n"
    (parts / "part-00000.csv").write_text(header + "1,2024-05-01T12:00:00.000Z,3,true\n")
    with gzip.open(parts / "part-00001.csv.gz", "wt") as opened:
        opened.write(header + "2,,,\n")


def by_a_spreadsheet(folder: Path) -> None:
    rows = "user_id,registered_at,n_followers,is_minor\r\n1,2024-05-01T20:00:00+08:00,3,TRUE\r\n2,,,\r\n"
    (folder / "users.csv").write_text(rows, encoding="utf-8-sig", newline="")


@pytest.mark.parametrize(
    "write",
    [
        by_pandas,
        by_pandas_with_whole_ids,
        by_pandas_as_packed_csv,
        by_duckdb,
        by_arrow_in_96_bits,
        with_nan_for_missing,
        with_numbers_for_flags,
        with_decimals,
        by_spark_in_parts,
        by_spark_partitioned,
        by_spark_as_csv,
        by_a_spreadsheet,
    ],
    ids=lambda write: write.__name__,
)
def test_a_table_is_the_same_whoever_wrote_it(
    tmp_path: Path, dataset: Callable[[Path], Dataset], write: Callable[[Path], None]
) -> None:
    write(tmp_path)
    sql = "SELECT user_id, epoch_us(registered_at), n_followers, is_minor FROM users ORDER BY user_id"
    assert dataset(tmp_path).connection.execute(sql).fetchall() == USERS


def test_an_id_may_be_a_uuid_or_the_largest_whole_number(tmp_path: Path, dataset: Callable[[Path], Dataset]) -> None:
    one = UUID("12345678-1234-5678-1234-567812345678")
    duckdb.connect().execute(f"COPY (SELECT UUID '{one}' AS user_id) TO '{tmp_path / 'users.parquet'}'")
    assert dataset(tmp_path).connection.execute("SELECT user_id FROM users").fetchall() == [(str(one),)]
    pq.write_table(pa.table({"user_id": pa.array([2**64 - 1], pa.uint64())}), tmp_path / "users.parquet")
    assert dataset(tmp_path).connection.execute("SELECT user_id FROM users").fetchall() == [(str(2**64 - 1),)]


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"n_followers": pa.array([1.5, None])}, "column n_followers: 1 row not a whole number; first: 1.5"),
        ({"n_followers": pa.array([2**64 - 1, 1], pa.uint64())},
         "column n_followers: 1 row not a whole number; first: 18446744073709551615"),
        ({"n_followers": pa.array([float("inf"), 1])}, "column n_followers: 1 row not a whole number; first: inf"),
        ({"is_minor": pa.array([2, 0])}, "column is_minor: 1 row not a boolean; first: 2"),
        ({"is_minor": pa.array([0.5, 0])}, "column is_minor: 1 row not a boolean; first: 0.5"),
        ({"user_id": pa.array([1.0, 2.0])}, "column user_id has type double, expected string"),
    ],
)  # fmt: skip
def test_what_would_be_rounded_is_refused_by_its_value(
    tmp_path: Path, dataset: Callable[[Path], Dataset], changed: dict[str, Any], problem: str
) -> None:
    pq.write_table(arrow(**changed), tmp_path / "users.parquet")
    with pytest.raises(DataError) as caught:
        dataset(tmp_path)
    assert str(caught.value) == f"{tmp_path / 'users.parquet'}: {problem}"


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ("user_id;n_followers\nu1;3\n", "the columns are separated by ';', expected ','"),
        ("user_id\tn_followers\nu1\t3\n", r"the columns are separated by '\t', expected ','"),
        ("user_id,n_followers\n1.23457E+17,3\n", "column user_id: 1 row rounded by a spreadsheet; first: 1.23457E+17"),
    ],
)
def test_what_a_spreadsheet_spoilt_is_told(
    tmp_path: Path, dataset: Callable[[Path], Dataset], rows: str, problem: str
) -> None:
    (tmp_path / "users.csv").write_text(rows)
    with pytest.raises(DataError) as caught:
        dataset(tmp_path)
    assert str(caught.value) == f"{tmp_path / 'users.csv'}: {problem}"


def test_a_quote_that_nothing_closes_shows_no_words(tmp_path: Path, dataset: Callable[[Path], Dataset]) -> None:
    (tmp_path / "notes.csv").write_text('note_id,body\nn1,"words\nsecret\n' + "secret," * 500_000)
    with pytest.raises(DataError, match="can't be read: Invalid Input Error: CSV Error on Line: 2") as caught:
        dataset(tmp_path)
    assert "secret" not in str(caught.value)


def test_a_folder_needs_parts_of_one_form_with_the_same_columns(
    tmp_path: Path, dataset: Callable[[Path], Dataset]
) -> None:
    parts = tmp_path / "users.csv"
    parts.mkdir()
    with pytest.raises(DataError, match=r"users\.csv: the folder holds no part ending in \.csv or \.csv\.gz"):
        dataset(tmp_path)
    (parts / "a.csv").write_text("user_id\nu1\n")
    (parts / "b.csv").write_text("user_id,n_followers\nu2,3\n")
    with pytest.raises(DataError, match=r"b\.csv: the columns are others than those of a\.csv"):
        dataset(tmp_path)


def test_the_digest_of_a_folder_is_of_its_parts_and_their_names(
    tmp_path: Path, dataset: Callable[[Path], Dataset]
) -> None:
    by_spark_in_parts(tmp_path)
    digest = dataset(tmp_path).digest()
    (tmp_path / "users.parquet" / "_SUCCESS").unlink()
    assert dataset(tmp_path).digest() == digest
    first, second = sorted((tmp_path / "users.parquet").glob("part-*"))
    first.rename(tmp_path / "spare")
    second.rename(first)
    (tmp_path / "spare").rename(second)
    assert dataset(tmp_path).digest() != digest


def test_a_packed_file_that_is_cut_short_is_refused(tmp_path: Path, dataset: Callable[[Path], Dataset]) -> None:
    by_pandas_as_packed_csv(tmp_path)
    whole = (tmp_path / "users.csv.gz").read_bytes()
    (tmp_path / "users.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"users\.csv\.gz: can't be read"):
        dataset(tmp_path)

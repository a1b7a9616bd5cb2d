"""The SQLite file: one writer, group commits, one server."""

import asyncio
import sqlite3
from contextlib import closing

import pytest
from sqlalchemy import text

from serving.errors import StoreError, StoreInUseError
from serving.store.sqlite_file import open_sqlite, server_lock

pytestmark = pytest.mark.anyio


@pytest.fixture
async def file(tmp_path):
    async with open_sqlite(tmp_path / "test.db") as opened:
        yield opened


def mark(name):
    return lambda connection: connection.execute(text("INSERT INTO watermarks VALUES (:name, 1)"), {"name": name})


async def marks(file):
    names = text(
        "SELECT name FROM watermarks"
        " WHERE name NOT IN ('journal', 'scores', 'catalogue', 'policies', 'reports', 'reviews',"
        " 'kpis', 'kpis_begun')"
    )  # the migrations'
    return await file.read(lambda connection: connection.scalars(names).all(), many=True)


async def test_a_job_that_fails_takes_no_other_of_its_group_with_it(file):
    jobs = [mark("first"), mark("a"), mark("b"), mark("a"), mark("c")]  # the first goes alone, the others wait for it
    results = await asyncio.gather(*map(file.write, jobs), return_exceptions=True)
    assert [isinstance(one, StoreError) for one in results] == [False, False, False, True, False]
    assert sorted(await marks(file)) == ["a", "b", "c", "first"]


async def test_a_job_that_fails_halfway_leaves_nothing(file):
    def twice(connection):
        mark("x")(connection)
        mark("x")(connection)

    with pytest.raises(StoreError):
        await file.write(twice)
    assert await marks(file) == []


async def test_a_caller_that_gave_up_holds_no_one_up(file):
    given_up = asyncio.create_task(file.write(mark("x")))
    await asyncio.sleep(0)
    given_up.cancel()
    await file.write(mark("y"))
    assert await marks(file) == ["y"]


async def test_a_file_that_another_process_holds_takes_nothing_and_then_all(tmp_path):
    async with open_sqlite(tmp_path / "test.db", timeout_s=0.2) as file:
        with closing(sqlite3.connect(tmp_path / "test.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            results = await asyncio.gather(*(file.write(mark(str(n))) for n in range(70)), return_exceptions=True)
        assert {type(one) for one in results} == {StoreError}
    async with open_sqlite(tmp_path / "test.db", timeout_s=30) as file:
        await file.write(mark("y"))
        assert "y" in await marks(file)


async def test_closing_finishes_what_waits(tmp_path):
    async with open_sqlite(tmp_path / "test.db") as file:
        writes = [asyncio.create_task(file.write(mark(str(n)))) for n in range(5)]
        await asyncio.sleep(0)
    await asyncio.gather(*writes)
    async with open_sqlite(tmp_path / "test.db") as file:
        assert len(await marks(file)) == 5


async def test_a_file_that_is_no_database_is_a_store_error(tmp_path):
    (tmp_path / "test.db").write_bytes(b"something else entirely" * 100)
    with pytest.raises(StoreError, match=r"test\.db can't be opened"):
        async with open_sqlite(tmp_path / "test.db"):
            pass


def test_a_file_has_one_server(tmp_path):
    mine, other = server_lock(tmp_path / "test.db"), server_lock(tmp_path / "test.db")
    with mine, pytest.raises(StoreInUseError, match="in use by another server"), other:
        pass
    with server_lock(tmp_path / "test.db"):
        pass


async def test_scrubbing_leaves_nothing_of_what_was_deleted(file, tmp_path):
    await file.write(mark("planted-secret"))
    assert any(b"planted-secret" in one.read_bytes() for one in tmp_path.glob("test.db*"))
    await file.write(lambda connection: connection.execute(text("DELETE FROM watermarks WHERE name LIKE 'planted%'")))
    await file.scrub()
    assert not any(b"planted-secret" in one.read_bytes() for one in tmp_path.glob("test.db*"))


async def test_scrubbing_waits_for_whoever_still_reads_what_was_deleted(file, tmp_path):
    await file.write(mark("x"))
    with closing(sqlite3.connect(tmp_path / "test.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM watermarks").fetchall()
        await file.write(mark("y"))
        with pytest.raises(StoreError):
            await file.scrub()
        await file.write(mark("z"))
    await file.scrub()
    assert (tmp_path / "test.db-wal").stat().st_size == 0

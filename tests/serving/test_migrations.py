"""The migrations leave the tables that the code reads."""

import asyncio

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.ext.asyncio import create_async_engine

from serving.store.desk_tables import METADATA
from serving.store.schema import migrate


@pytest.fixture
def connection(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path / '100%.db'}")
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def require_same_tables(connection):
    migrate(connection)
    assert compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), METADATA) == []
    assert set(inspect(connection).get_table_names()) - {"alembic_version"} == set(METADATA.tables)


def test_migrations_give_the_tables_of_the_metadata(connection):
    require_same_tables(connection)


def test_postgres_gets_the_same_tables_by_the_same_migrations(new_database):
    async def require(url):
        engine = create_async_engine(url.replace("postgresql", "postgresql+asyncpg", 1))
        async with engine.begin() as connection:
            await connection.run_sync(require_same_tables)
        await engine.dispose()

    with new_database() as url:
        asyncio.run(require(url))


def test_migrating_again_changes_nothing(connection):
    migrate(connection)
    connection.execute(text("UPDATE watermarks SET seq = 7"))
    migrate(connection)
    assert set(connection.execute(text("SELECT seq FROM watermarks")).scalars()) == {7}


def test_a_seq_is_never_used_again(connection):
    migrate(connection)
    insert = text("INSERT INTO facts (type, user_id, occurred_at, received_at) VALUES ('event', 'u', 1, 1)")
    connection.execute(insert)
    connection.execute(text("DELETE FROM facts"))
    connection.execute(insert)
    assert connection.execute(text("SELECT seq FROM facts")).scalar_one() == 2


def test_what_was_recommended_before_its_counts_is_counted(connection):
    migrate(connection, "0018")
    quarter = 900_000_000
    connection.exec_driver_sql(
        "INSERT INTO recommendations VALUES "
        f"('r', 0, {3 * quarter - 1}, 'u', 'a', 'similar', 'exploit', 'home', 1, '1', 'd'), "
        f"('r', 1, {3 * quarter - 1}, 'u', 'b', 'popular', 'exploit', 'home', 1, '1', 'd'), "
        f"('s', 0, {3 * quarter}, 'u', 'a', 'similar', 'exploit', 'home', 1, '1', 'd')"
    )
    connection.exec_driver_sql(
        "INSERT INTO facts (type, user_id, occurred_at, received_at, event, note_id, recommendation_id) VALUES "
        "('event', 'u', 1, 1, 'impression', 'a', 'r'), ('event', 'u', 1, 1, 'click', 'b', 'r'), "
        "('event', 'u', 1, 1, 'hide', 'a', 's')"
    )
    migrate(connection)
    rows = connection.exec_driver_sql("SELECT * FROM recommendation_counts WHERE kind IN ('source', 'scene')").all()
    assert sorted(tuple(row) for row in rows) == [
        ("scene", 2, "home", 2, 2, 1), ("scene", 3, "home", 1, 0, 0),
        ("source", 2, "popular", 1, 1, 1), ("source", 2, "similar", 1, 1, 0), ("source", 3, "similar", 1, 0, 0),
    ]  # fmt: skip

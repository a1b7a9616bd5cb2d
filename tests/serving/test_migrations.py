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

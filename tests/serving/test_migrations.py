"""The migrations leave the tables that the code reads."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect, text

from serving.store.schema import migrate
from serving.store.tables import METADATA


@pytest.fixture
def connection(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path / '100%.db'}")
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def test_migrations_give_the_tables_of_the_metadata(connection):
    migrate(connection)
    assert compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), METADATA) == []
    assert set(inspect(connection).get_table_names()) - {"alembic_version"} == set(METADATA.tables)


def test_migrating_again_changes_nothing(connection):
    migrate(connection)
    connection.execute(text("INSERT INTO watermarks VALUES ('states', 7)"))
    migrate(connection)
    assert connection.execute(text("SELECT seq FROM watermarks")).scalar_one() == 7


def test_a_seq_is_never_used_again(connection):
    migrate(connection)
    insert = text("INSERT INTO facts (type, user_id, occurred_at, received_at) VALUES ('event', 'u', 1, 1)")
    connection.execute(insert)
    connection.execute(text("DELETE FROM facts"))
    connection.execute(insert)
    assert connection.execute(text("SELECT seq FROM facts")).scalar_one() == 2

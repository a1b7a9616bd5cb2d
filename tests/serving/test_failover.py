"""Stores that turn read-only, are lost or are replaced under a running server: not ready, and well again by itself."""

import shutil
from contextlib import contextmanager

import pytest
from pydantic import PostgresDsn, RedisDsn, Secret

from tests.serving.test_faults import ingest, is_whole, opened, require_unavailable  # noqa: F401  (a fixture)

pytestmark = pytest.mark.slow


def stores_of(client):
    answer = client.get("/readyz")
    return answer.status_code, answer.json()["checks"]["stores"]


@contextmanager
def new_sessions_read_only(postgres, url):
    """The database's sessions read only, those that are there included, as behind a name that leads to a standby."""
    name = url.rpartition("/")[2]
    end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND pid <> pg_backend_pid()"
    postgres(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    postgres(end)
    yield
    postgres(f"ALTER DATABASE {name} RESET default_transaction_read_only")


def test_a_read_only_failover_heals_by_itself(postgres, postgres_url, opened, event, eventually):  # noqa: F811
    client = opened(journal_url=Secret(PostgresDsn(postgres_url)))
    lost = event(days=1)
    with new_sessions_read_only(postgres, postgres_url):
        eventually(lambda: stores_of(client) == (503, "read_only"))
        require_unavailable(ingest(client, lost))
    eventually(lambda: is_whole(client))
    assert ingest(client, lost).json()["results"][0]["status"] == "accepted"


def test_sessions_that_turn_read_only_are_replaced(postgres, postgres_url, opened, event, caplog):  # noqa: F811
    """A session that was writable when it was made: no new one is needed to see that it is not now."""
    client = opened(journal_url=Secret(PostgresDsn(postgres_url)))
    database = client.app.state.services.journal._database

    def turn(connection):
        connection.exec_driver_sql("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")

    client.portal.call(database.write, turn)
    require_unavailable(ingest(client, event(days=1)))
    assert "25006" in str([vars(one).get("causes") for one in caplog.records])
    assert ingest(client, event(days=1)).status_code == 200
    assert client.get("/readyz").status_code == 200


def test_redis_that_becomes_a_replica_is_not_ready(own_redis, opened, event, eventually):  # noqa: F811
    client = opened(state_url=Secret(RedisDsn(own_redis.url)))
    assert stores_of(client) == (200, "ok")
    own_redis.client.replicaof("127.0.0.1", "1")
    assert stores_of(client) == (503, "read_only")
    own_redis.client.replicaof("NO", "ONE")
    eventually(lambda: is_whole(client))


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_sqlite_file_that_is_lost_takes_nothing_more(world, opened, event, suffix, how):  # noqa: F811
    client = opened()
    assert ingest(client, event(days=2)).status_code == 200
    file = world.settings.database.with_name(world.settings.database.name + suffix)
    kept = file.with_name("kept")
    file.rename(kept)
    if how == "replaced":
        shutil.copy(kept, file)
    require_unavailable(ingest(client, event(days=1)))
    assert stores_of(client) == (503, "unreachable")
    kept.rename(file)
    assert ingest(client, event(days=1)).status_code == 200
    assert stores_of(client) == (200, "ok")

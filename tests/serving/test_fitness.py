"""A store that can never do its work is refused as the server starts, by name, in one line without a secret."""

import os
import shutil
import socket
import sqlite3
import subprocess
import time
from contextlib import contextmanager

import pytest
import redis
from pydantic import PostgresDsn, RedisDsn, Secret

from serving.__main__ import main

pytestmark = pytest.mark.slow

CREATE_KEY = ["create-key", "--scopes", "score", "--label", "x"]


@pytest.fixture(autouse=True)
def here(data_dir, monkeypatch):
    monkeypatch.setenv("MINGJIAN_STORE_TIMEOUT_S", "5")


def refusal(capsys, monkeypatch, **settings):
    """The one line that a command ends with under these settings."""
    for name, value in settings.items():
        monkeypatch.setenv(f"MINGJIAN_{name.upper()}", value)
    assert main(CREATE_KEY) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1), err
    assert "hunter2" not in err
    return err


def test_a_database_that_is_not_utf8(postgres, postgres_url, capsys, monkeypatch):
    name = f"{postgres_url.rpartition('/')[2]}_latin1"
    postgres(f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    try:
        said = refusal(capsys, monkeypatch, journal_url=f"{postgres_url}_latin1")
    finally:
        postgres(f"DROP DATABASE {name} WITH (FORCE)")
    assert said == (
        "serving: the PostgreSQL journal can't be opened: the database is encoded in LATIN1: UTF8 is needed\n"
    )


def test_a_database_that_is_read_only(postgres, postgres_url, capsys, monkeypatch):
    name = postgres_url.rpartition("/")[2]
    postgres(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    try:
        assert "it takes no writes" in refusal(capsys, monkeypatch, journal_url=postgres_url)
    finally:
        postgres(f"ALTER DATABASE {name} RESET default_transaction_read_only")


def test_a_database_that_is_not_there(postgres_url, capsys, monkeypatch):
    said = refusal(capsys, monkeypatch, journal_url=f"{postgres_url}_none")
    assert "does not exist (InvalidCatalogNameError 3D000)" in said


def test_tables_of_a_later_version_in_postgresql(postgres, postgres_url, capsys, monkeypatch):
    monkeypatch.setenv("MINGJIAN_JOURNAL_URL", postgres_url)
    assert main(CREATE_KEY) == 0
    capsys.readouterr()
    was = postgres("SELECT version_num FROM alembic_version", postgres_url)[0][0]
    postgres("UPDATE alembic_version SET version_num = '9999'", postgres_url)
    try:
        assert "its tables are of a later version" in refusal(capsys, monkeypatch)
    finally:
        postgres(f"UPDATE alembic_version SET version_num = '{was}'", postgres_url)


def test_tables_of_a_later_version_in_sqlite(data_dir, capsys, monkeypatch):
    assert main(CREATE_KEY) == 0
    capsys.readouterr()
    with sqlite3.connect(data_dir / "mingjian.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    assert "its tables are of a later version" in refusal(capsys, monkeypatch)


def test_a_file_that_is_no_database(data_dir, capsys, monkeypatch):
    (data_dir / "mingjian.db").write_bytes(b"no database" * 100)
    assert "file is not a database" in refusal(capsys, monkeypatch)


@contextmanager
def redis_of_a_kind(folder, *options):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = ["redis-server", *options, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    client, deadline = redis.Redis(port=port), time.monotonic() + 30
    try:
        while True:
            try:
                client.info()
                break
            except redis.RedisError:
                assert time.monotonic() < deadline
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        client.close()
        process.kill()
        process.wait()


def test_a_node_of_a_redis_cluster(own_redis, tmp_path, capsys, monkeypatch):
    with redis_of_a_kind(tmp_path, "--cluster-enabled", "yes") as url:
        assert "it is a node of a Redis Cluster" in refusal(capsys, monkeypatch, state_url=url)


def test_a_redis_sentinel(own_redis, tmp_path, capsys, monkeypatch):
    (tmp_path / "sentinel.conf").touch()
    with redis_of_a_kind(tmp_path, str(tmp_path / "sentinel.conf"), "--sentinel") as url:
        assert "it is a Redis Sentinel" in refusal(capsys, monkeypatch, state_url=url)


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "allkeys-random"])
def test_a_redis_that_evicts_what_must_stay(own_redis, capsys, monkeypatch, policy):
    own_redis.client.config_set("maxmemory-policy", policy)
    assert f"its maxmemory-policy {policy}" in refusal(capsys, monkeypatch, state_url=own_redis.url)
    own_redis.client.config_set("maxmemory-policy", "volatile-lru")
    assert main(CREATE_KEY) == 0


def test_a_wrong_password_of_redis(own_redis, capsys, monkeypatch):
    url = own_redis.url.replace("//", "//:hunter2@")
    own_redis.client.config_set("requirepass", "another")
    for one in (url, own_redis.url):
        assert "Redis refuses this user (AuthenticationError" in refusal(capsys, monkeypatch, state_url=one)


def test_a_user_of_redis_needs_the_keys_of_the_prefix_alone(own_redis, capsys, monkeypatch):
    commands = "+@read +@write +@connection +@scripting +@transaction"
    own_redis.client.execute_command("ACL", "SETUSER", "app", "on", ">hunter2", "~shop:*", *commands.split())
    url = own_redis.url.replace("//", "//app:hunter2@")
    assert "Redis refuses this user (NoPermissionError" in refusal(capsys, monkeypatch, state_url=url)
    monkeypatch.setenv("MINGJIAN_STATE_PREFIX", "shop")
    assert main(CREATE_KEY) == 0


@pytest.mark.parametrize(("end", "complaint"), [("/0?nothing=1", "an option"), ("/0?db=x", "URL"), ("/99", "DB index")])
def test_a_url_of_redis_that_is_not_taken(own_redis, capsys, monkeypatch, end, complaint):
    assert complaint in refusal(capsys, monkeypatch, state_url=own_redis.url.removesuffix("/0") + end)


def test_a_socket_of_redis(own_redis, tmp_path, capsys, monkeypatch):
    with redis_of_a_kind(tmp_path, "--unixsocket", str(tmp_path / "s")):
        monkeypatch.setenv("MINGJIAN_STATE_URL", f"unix://{tmp_path / 's'}?db=3")
        assert main(CREATE_KEY) == 0
        with redis.Redis(unix_socket_path=str(tmp_path / "s"), db=3) as client:
            assert client.keys() == [b"mingjian:generation"]


def test_two_deployments_share_a_redis_by_their_prefixes(own_redis, world, event, tmp_path, make_world):
    url, other = Secret(RedisDsn(own_redis.url)), make_world(tmp_path / "other")
    with world.open(state_url=url, state_prefix="a") as one, other.open(state_url=url, state_prefix="b") as two:
        one.post("/v1/events", json={"events": [event("u")]})
        assert two.get("/v1/users/u/data").status_code == 404
        assert {key.split(b":")[0] for key in own_redis.client.scan_iter(b"*:state:*")} == {b"a"}


@pytest.fixture(scope="module")
def pgbouncer(postgres, need, tmp_path_factory):
    """Starts a pooler before the PostgreSQL server of the tests, in a mode; gives the URL through it."""
    if not (program := shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")):
        need("no pgbouncer to start")

    @contextmanager
    def running(url, mode):

        host = PostgresDsn(url).hosts()[0]
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        folder = tmp_path_factory.mktemp("pooler")
        users, config = folder / "users.txt", folder / "pgbouncer.ini"
        users.write_text(f'"{host["username"]}" "{host["password"] or ""}"\n')
        config.write_text(
            f"[databases]\n* = host={host['host']} port={host['port'] or 5432}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = trust\nauth_file = {users}\npool_mode = {mode}\n"
        )
        command = [program, "-q", str(config)]
        if os.getuid() == 0:  # as whom it refuses to run
            for one in (folder, *list(folder.parents)[:2]):
                one.chmod(one.stat().st_mode | 0o055)
            command[1:1] = ["-u", "nobody"]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while True:
            assert process.poll() is None
            assert time.monotonic() < deadline
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.01)
        try:
            yield f"postgresql://{host['username']}@127.0.0.1:{port}/{url.rpartition('/')[2]}"
        finally:
            process.kill()
            process.wait()

    return running


def test_a_pooler_by_session(pgbouncer, postgres_url, monkeypatch, world, event):
    world.registry.release()
    with pgbouncer(postgres_url, "session") as url, world.open(journal_url=Secret(PostgresDsn(url))) as client:
        assert client.post("/v1/events", json={"events": [event("u")]}).json()["results"][0]["status"] == "accepted"
        assert client.get("/readyz").status_code == 200
        database = client.app.state.services.journal._database

        def limit(connection):
            return connection.exec_driver_sql("SHOW statement_timeout").scalar()

        assert client.portal.call(database.write, limit) == "30s"


def test_a_pooler_by_transaction_is_refused(pgbouncer, postgres_url, capsys, monkeypatch):
    with pgbouncer(postgres_url, "transaction") as url:
        assert "pools by transaction" in refusal(capsys, monkeypatch, journal_url=url)

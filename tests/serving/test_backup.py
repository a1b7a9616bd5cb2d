"""The way back from a backup, as docs/operations.md has it: write, back up, write more, lose, restore."""

import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from pydantic import PostgresDsn, RedisDsn, Secret

from serving.__main__ import main
from serving.store.sql_tombstones import USER_COLUMNS
from serving.store.tables import METADATA

pytestmark = pytest.mark.slow

USERS = ["u1", "u2", "erased later"]


class SqlitePair:
    """Journal and states in one file."""

    def __init__(self, data_dir):
        self.stores = {}
        self.database, self.copy = data_dir / "mingjian.db", data_dir / "copies" / "mingjian.db"
        self.copy.parent.mkdir()

    def back_up(self):
        assert main(["backup", "--out", str(self.copy)]) == 0
        assert stat.S_IMODE(self.copy.stat().st_mode) == 0o600

    def restore(self):
        for one in self.database.parent.glob("mingjian.db*"):
            one.unlink()
        shutil.copy(self.copy, self.database)


class PostgresRedisPair:
    """The journal in PostgreSQL, the states in Redis, which nobody restores."""

    def __init__(self, postgres, url, redis_url, folder, programs):
        self.stores = {"journal_url": Secret(PostgresDsn(url)), "state_url": Secret(RedisDsn(redis_url))}
        self._postgres, self._url, self._programs, self._dump = postgres, url, programs, folder / "mingjian.dump"

    def _run(self, program, *arguments):
        subprocess.run([self._programs / program, *arguments], check=True)

    def back_up(self):
        self._run("pg_dump", "--format=custom", f"--file={self._dump}", self._url)

    def restore(self):
        name = self._url.rpartition("/")[2]
        self._postgres(f"DROP DATABASE {name} WITH (FORCE)")
        self._postgres(f"CREATE DATABASE {name}")
        self._run("pg_restore", "--no-owner", "--exit-on-error", f"--dbname={self._url}", str(self._dump))


@pytest.fixture
def sqlite_pair(data_dir):
    return SqlitePair(data_dir)


@pytest.fixture
def postgres_redis_pair(data_dir, postgres, new_database, own_redis, monkeypatch, need):
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_dump"))
    if not found:
        need("no pg_dump")
    with new_database() as url:
        monkeypatch.setenv("MINGJIAN_JOURNAL_URL", url)
        monkeypatch.setenv("MINGJIAN_STATE_URL", own_redis.url)
        yield PostgresRedisPair(postgres, url, own_redis.url, data_dir, found[-1].parent)


@pytest.fixture(params=["sqlite_pair", "postgres_redis_pair"])
def pair(request):
    return request.getfixturevalue(request.param)


def scored(client):
    return client.post("/v1/users:score", json={"user_ids": USERS}).json()["results"]


def add(client, event, days):
    answer = client.post("/v1/events", json={"events": [event(user, days=days) for user in USERS]})
    assert {one["status"] for one in answer.json()["results"]} == {"accepted"}


def test_after_a_restore_scores_are_those_of_the_backup_and_the_erased_stay_erased(
    pair, world, event, tmp_path, eventually
):
    world.registry.release()
    tombstones = tmp_path / "tombstones.json"
    with world.open(**pair.stores) as client:
        add(client, event, days=20)
        then = scored(client)
        pair.back_up()
        add(client, event, days=1)
        assert scored(client) != then
        assert client.delete("/v1/users/erased later").status_code == 200
        assert main(["export-tombstones", "--out", str(tombstones)]) == 0
    pair.restore()
    with world.open(**pair.stores) as client:  # repairs once, as it starts
        assert scored(client) == then
    assert main(["replay-erasures", str(tombstones)]) == 0
    with world.open(repair_s=0.02, **pair.stores) as client:
        eventually(lambda: client.get("/v1/users/erased later/data").status_code == 404)
        assert scored(client)[:2] == then[:2]
        refused = client.post("/v1/events", json={"events": [event("erased later")]}).json()["results"][0]
        assert refused["code"] == "erased_user"
        add_again = client.post("/v1/events", json={"events": [event("u1", days=1)]})
        assert add_again.json()["results"][0]["status"] == "accepted"
        assert scored(client)[0] != then[0]  # no state from before hides what is new


def test_what_is_no_file_of_tombstones_is_refused(data_dir, make_world, tmp_path, capsys, monkeypatch):
    (tmp_path / "x.json").write_text("[]")
    assert main(["replay-erasures", str(tmp_path / "x.json")]) == 2
    assert main(["export-tombstones", "--out", str(tmp_path / "t.json")]) == 0
    monkeypatch.setenv("MINGJIAN_DATA_DIR", str(tmp_path / "other"))
    assert main(["replay-erasures", str(tmp_path / "t.json")]) == 2
    assert "another deployment" in capsys.readouterr().err
    assert main(["backup", "--out", str(tmp_path / "t.json")]) == 2
    assert "there already" in capsys.readouterr().err


def test_every_column_that_holds_a_user_is_looked_at():
    names = {"user_id", "author_id", "target_user_id"}
    found = {one for table in METADATA.tables.values() for one in table.columns if one.name in names}
    assert {str(one) for one in found} - {str(one) for one in USER_COLUMNS} == {"pending_erasures.user_id"}

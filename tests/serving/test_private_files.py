"""What is written, and what is answered, is for nobody else: modes of files, and caches."""

import stat

import pytest

from serving.__main__ import main
from serving.store.sqlite_file import open_sqlite

DATABASE = "mingjian.db"


def modes(folder):
    """The modes of all that lies in a folder, by path."""
    return {str(one.relative_to(folder)): stat.S_IMODE(one.stat().st_mode) for one in folder.rglob("*")}


@pytest.fixture
def in_a_new_folder(world, tmp_path):
    world.settings = world.settings.model_copy(update={"data_dir": tmp_path / "kept"})
    return tmp_path / "kept"


def test_a_server_makes_its_database_readable_by_its_account_alone(world, in_a_new_folder):
    with world.open() as client:
        client.put("/v1/users/u1", json={})
        found = modes(in_a_new_folder)
    assert stat.S_IMODE(in_a_new_folder.stat().st_mode) == 0o700
    assert {name for name in found if name.startswith(DATABASE)} >= {DATABASE, f"{DATABASE}-wal", f"{DATABASE}.lock"}
    assert set(found.values()) == {0o600}


@pytest.mark.anyio
async def test_a_database_that_others_could_read_is_closed_to_them(tmp_path):
    path = tmp_path / DATABASE
    async with open_sqlite(path):
        path.chmod(0o644)
        path.with_name(f"{DATABASE}-wal").chmod(0o644)
        async with open_sqlite(path):
            assert set(modes(tmp_path).values()) == {0o600}


def test_an_export_is_readable_by_its_account_alone(client, send, event, world, tmp_path, monkeypatch):
    monkeypatch.setenv("MINGJIAN_DATA_DIR", str(world.settings.data_dir))
    send(event())
    assert main(["export-events", "--out", str(tmp_path / "out")]) == 0
    assert modes(tmp_path)["out"] == 0o700
    assert modes(tmp_path / "out") == {"events.csv": 0o600}


@pytest.mark.parametrize(
    "path", ["/v1/users/u1", "/v1/users", "/v1/users.csv", "/v1/nowhere", "/readyz", "/console/sign-in", "/console"]
)
def test_no_cache_keeps_an_answer(client, path):
    client.put("/v1/users/u1", json={})
    assert client.get(path, follow_redirects=False).headers["cache-control"] == "no-store"


def test_what_pages_are_drawn_with_is_kept_and_asked_for_again(client):
    answer = client.get("/console/static/console.css")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache")
    again = client.get("/console/static/console.css", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.headers["cache-control"]) == (304, "no-cache")

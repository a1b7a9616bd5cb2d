"""``python -m serving`` as its users run it: in processes of its own."""

import asyncio
import http.client
import json
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import select

from features.state import UserState
from serving.__main__ import main
from serving.folding import fold
from serving.store.sql_journal import SqlJournal
from serving.store.sqlite_file import open_sqlite
from serving.store.sqlite_states import SqliteStates
from serving.store.tables import FACTS

ROOT = Path(__file__).parents[2]


class Server:
    """A server process over a data folder."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.log = folder / "server.log"
        command = [sys.executable, "-m", "serving", "run", "--port", str(self.port)]
        with self.log.open("a") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)

    def call(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        headers["content-type"] = "application/json"
        try:
            connection.request(method, path, json.dumps(body) if body else None, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def wait(self):
        for _ in range(1000):
            try:
                self.call("GET", "/livez")
            except OSError:
                time.sleep(0.02)
            else:
                return self
        raise AssertionError(self.log.read_text())

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        return self.process.wait(20)


@pytest.fixture(autouse=True)
def data_dir(tmp_path, monkeypatch):
    """Both the processes started here and ``main`` called here work on this folder."""
    monkeypatch.setenv("MINGJIAN_DATA_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def serve(data_dir):
    servers = []

    def start():
        servers.append(Server(data_dir).wait())
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.stop(signal.SIGKILL)


def test_a_key_made_beside_a_running_server_opens_it_and_a_second_server_is_refused(serve, capsys):
    server = serve()
    assert main(["create-key", "--scopes", "ingest, admin", "--label", "ops"]) == 0
    key = capsys.readouterr().out
    assert re.fullmatch(r"mj_\S{43}\n", key)
    header = {"X-API-Key": key.strip()}
    assert server.call("GET", "/v1/models")[0] == 401
    assert server.call("GET", "/v1/models", **header)[0] == 200
    assert server.call("POST", "/v1/users:score", {"user_ids": ["u"]}, **header)[0] == 403
    assert main(["run"]) == 2
    complaint = capsys.readouterr().err
    assert f"mingjian.db is in use by another server (process {server.process.pid})" in complaint
    assert complaint.count("\n") == 1
    assert server.stop() == 0
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    assert {one["route"] for one in lines if one["message"] == "request"} == {"/livez", "/v1/models", "/v1/users:score"}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["create-key", "--scopes", "score,fly", "--label", "x"], "score, ingest, review, privacy, admin"),
        (["create-key", "--label", "x"], "--scopes"),
        (["run", "--port", "high"], "--port"),
        ([], "COMMAND"),
    ],
)
def test_a_wrong_command_line_is_explained_with_exit_2(arguments, complaint, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert complaint in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(("name", "value"), [("MINGJIAN_PORT", "high"), ("MINGJIAN_DATA_DIR", "/proc/nowhere")])
def test_a_wrong_setting_is_one_line_with_exit_2(monkeypatch, capsys, name, value):
    monkeypatch.setenv(name, value)
    assert main(["run"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert name in err or value in err


def test_a_port_in_use_is_one_line_with_exit_2(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["run", "--port", str(taken.getsockname()[1])]) == 2
    complaint = capsys.readouterr().err
    assert "Address already in use" in complaint
    assert complaint.count("\n") == 1


def test_revoking_ends_all_keys_of_a_label(capsys):
    for _ in range(2):
        assert main(["create-key", "--scopes", "score", "--label", "ops"]) == 0
    capsys.readouterr()
    for n in (2, 0):
        assert main(["revoke-key", "--label", "ops"]) == 0
        assert capsys.readouterr().out == f"revoked {n}\n"


@pytest.mark.slow
def test_killed_during_ingest_nothing_acknowledged_is_lost_and_nothing_counts_twice(serve, data_dir, monkeypatch):
    monkeypatch.setenv("MINGJIAN_OPEN_ACCESS", "true")
    rng, acknowledged, sent = random.Random(1), set(), 0

    def ingest(server, thread):
        nonlocal sent
        while True:
            sent += 1
            ids = [f"{thread}-{sent}-{n}" for n in range(20)]
            events = [
                {"event_id": one, "user_id": f"u{n % 7}", "event": "open", "occurred_at": "2025-01-01T00:00:00Z"}
                for n, one in enumerate(ids)
            ]
            try:
                status, _ = server.call("POST", "/v1/events", {"events": events})
            except (OSError, http.client.HTTPException):
                return
            assert status == 200
            acknowledged.update(ids)

    for _ in range(5):
        server = serve()
        threads = [threading.Thread(target=ingest, args=(server, n)) for n in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(rng.uniform(0.05, 0.4))
        server.stop(signal.SIGKILL)
        for thread in threads:
            thread.join()
    assert serve().stop() == 0  # the start repairs what the last kill left
    event_ids, entries, states = asyncio.run(contents(data_dir / "mingjian.db"))
    assert len(acknowledged) > 100
    assert acknowledged <= set(event_ids)
    assert len(event_ids) == len(set(event_ids)) == sum(map(len, entries.values()))
    assert states == {user_id: fold(UserState(), own).encode() for user_id, own in entries.items()}


async def contents(database):
    """The event ids in the journal, and by user the journal's entries and the encoded state."""
    users = [f"u{n}" for n in range(7)]
    async with open_sqlite(database) as file:
        entries = await SqlJournal(file).entries(dict.fromkeys(users, 0))
        stored = await SqliteStates(file).get_many(users)
        event_ids = await file.read(lambda opened: opened.scalars(select(FACTS.c.event_id)).all(), many=False)
    return event_ids, entries, {user_id: one.encoded for user_id, one in stored.items()}

"""``python -m serving`` as its users run it: in processes of its own."""

import asyncio
import http.client
import itertools
import json
import random
import re
import signal
import socket
import sqlite3
import threading
import time
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta

import pytest

from features.state import UserState
from serving.__main__ import main
from serving.folding import fold
from serving.settings import Settings
from serving.store.stores import open_stores


@pytest.fixture(autouse=True)
def everywhere(data_dir):
    """Both the processes started here and ``main`` called here work on this folder."""


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


def test_ctrl_c_ends_the_server_quietly(serve):
    server = serve()
    assert server.stop(signal.SIGINT) == 0
    assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["create-key", "--scopes", "score,fly", "--label", "x"], "score, ingest, review, privacy, admin"),
        (["create-key", "--label", "x"], "--scopes"),
        (["create-key", "--scopes", "score", "--label", "x", "--days", "0"], "1 or more"),
        (["create-key", "--scopes", "score", "--label", "x", "--rate-limit", "-1"], "0 or more"),
        (["revoke-key"], "--label"),
        (["revoke-key", "--label", "x", "--id", "y"], "--id"),
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


@pytest.mark.parametrize("value", ["inf", "nan", "1e999", "0", "0.0004", "1e9"])
@pytest.mark.parametrize("name", ["STORE_TIMEOUT_S", "POLL_S", "NOTE_TIMEOUT_S"])
def test_a_time_that_is_none_is_refused(monkeypatch, capsys, name, value):
    monkeypatch.setenv(f"MINGJIAN_{name}", value)
    assert main(["list-keys"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"serving: MINGJIAN_{name}: ")
    assert err.count("\n") == 1


def test_a_setting_that_is_none_is_named(monkeypatch, capsys):
    monkeypatch.setenv("MINGJIAN_STATE_ULR", "redis://:hunter2@127.0.0.1/0")
    assert main(["run"]) == 2
    assert capsys.readouterr().err == (
        "serving: MINGJIAN_STATE_ULR: there is no such setting; did you mean MINGJIAN_STATE_URL?\n"
    )


def test_what_kubernetes_sets_beside_a_service_of_this_name_is_no_setting(monkeypatch):
    for name in ("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT_8000_TCP", "PORT_8000_TCP_ADDR"):
        monkeypatch.setenv(f"MINGJIAN_{name}", "tcp://10.0.0.1:8000")
    assert main(["list-keys"]) == 0


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


def listed(capsys):
    """What list-keys says of each key."""
    assert main(["list-keys"]) == 0
    heads, *rows = (line.split("\t") for line in capsys.readouterr().out.splitlines())
    return [dict(zip(heads, row, strict=True)) for row in rows]


def test_keys_are_listed_with_their_ends_and_limits(capsys):
    for options in ([], ["--days", "30", "--rate-limit", "5"], ["--rate-limit", "0"]):
        assert main(["create-key", "--scopes", "score,ingest", "--label", "app", *options]) == 0
    secrets = capsys.readouterr().out.split()
    assert main(["revoke-key", "--label", "other"]) == 0
    capsys.readouterr()
    keys = listed(capsys)
    until = (datetime.now(UTC) + timedelta(days=30)).date()
    assert [(one["label"], one["scopes"], one["requests a second"]) for one in keys] == [
        ("app", "ingest,score", limit) for limit in ("", "5", "unlimited")
    ]
    assert [one["status"] for one in keys] == ["in force", f"in force until {until}", "in force"]
    assert not any(secret in str(keys) for secret in secrets)
    assert main(["revoke-key", "--id", keys[0]["id"]]) == 0
    assert capsys.readouterr().out == "revoked 1\n"
    assert listed(capsys)[0]["status"].startswith("revoked 20")


def test_a_key_is_rotated_beside_a_running_server_within_two_seconds(serve, capsys):
    server = serve()

    def create():
        assert main(["create-key", "--scopes", "admin", "--label", "app"]) == 0
        return {"X-API-Key": capsys.readouterr().out.strip()}

    old, new = create(), create()
    assert [server.call("GET", "/v1/models", **one)[0] for one in (old, new)] == [200, 200]
    assert main(["revoke-key", "--id", listed(capsys)[0]["id"]]) == 0
    revoked_at = time.monotonic()
    while server.call("GET", "/v1/models", **old)[0] != 401:
        assert time.monotonic() < revoked_at + 2
    assert server.call("GET", "/v1/models", **new)[0] == 200


def test_a_store_that_is_not_there_is_one_line_with_exit_2(monkeypatch, capsys):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("MINGJIAN_JOURNAL_URL", f"postgresql://me:secret@127.0.0.1:{port}/none")
    assert main(["create-key", "--scopes", "score", "--label", "x"]) == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith("serving: the PostgreSQL journal can't be opened: ")
    assert complaint.count("\n") == 1
    assert "secret" not in complaint


@pytest.mark.parametrize(
    ("rest", "complaint"), [("/db?sslmode=no", "sslmode"), ("/db?nothing=1", "nothing"), (":1,other:2/db", "URL")]
)
def test_a_url_that_the_driver_does_not_take_is_one_line_with_exit_2(monkeypatch, capsys, rest, complaint):
    monkeypatch.setenv("MINGJIAN_JOURNAL_URL", f"postgresql://me:secret@127.0.0.1{rest}")
    assert main(["create-key", "--scopes", "score", "--label", "x"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("serving: ")
    assert err.count("\n") == 1
    assert complaint in err
    assert "secret" not in err


@pytest.mark.parametrize("mode", ["disable", "prefer"])
def test_a_url_says_ssl_as_libpq_does(monkeypatch, capsys, postgres_url, mode):
    monkeypatch.setenv("MINGJIAN_JOURNAL_URL", f"{postgres_url}?sslmode={mode}")
    assert main(["create-key", "--scopes", "score", "--label", "x"]) == 0


@pytest.fixture
def postgres_journal(monkeypatch, postgres_url):
    """The processes started here and ``main`` keep the journal in PostgreSQL."""
    monkeypatch.setenv("MINGJIAN_JOURNAL_URL", postgres_url)


@pytest.fixture
def redis_state(monkeypatch, own_redis):
    """The processes started here and ``main`` keep the states in Redis."""
    monkeypatch.setenv("MINGJIAN_STATE_URL", own_redis.url)


@pytest.fixture(
    params=[
        pytest.param((), id="sqlite"),
        pytest.param(("postgres_journal", "redis_state"), id="postgres-redis"),
        pytest.param(("redis_state",), id="sqlite-redis", marks=pytest.mark.slow),
        pytest.param(("postgres_journal",), id="postgres-sqlite", marks=pytest.mark.slow),
    ]
)
def stores(request):
    """Each pair of a journal and states."""
    for kept_elsewhere in request.param:
        request.getfixturevalue(kept_elsewhere)


@pytest.mark.slow
@pytest.mark.usefixtures("postgres_journal", "redis_state")
def test_servers_share_postgres_and_redis(serve, capsys):
    """Two servers: a key made once opens both, and what one takes the other scores."""
    first, second = serve(), serve()
    main(["create-key", "--scopes", "ingest,score", "--label", "app"])
    header = {"X-API-Key": capsys.readouterr().out.strip()}
    event = {"event_id": "e", "user_id": "u", "event": "open", "occurred_at": "2025-01-01T00:00:00Z"}
    for server, status in ((first, "accepted"), (second, "duplicate")):
        assert server.call("POST", "/v1/events", {"events": [event]}, **header)[1]["results"][0]["status"] == status
    assert main(["revoke-key", "--label", "app"]) == 0
    assert capsys.readouterr().out == "revoked 1\n"


@pytest.mark.slow
@pytest.mark.usefixtures("stores")
def test_a_rebuild_gives_every_state_bit_for_bit_while_a_server_runs(serve, monkeypatch, capsys):
    monkeypatch.setenv("MINGJIAN_OPEN_ACCESS", "true")
    server = serve()
    for n in range(5):
        assert server.call("POST", "/v1/events", {"events": events_of([f"{n}-{m}" for m in range(40)])})[0] == 200
    _, states = asyncio.run(contents())
    assert len(states) == len(USERS)
    assert main(["rebuild-state"]) == 0
    assert "200 of 200" in capsys.readouterr().err
    assert asyncio.run(contents())[1] == states


def test_sigterm_lets_a_request_under_way_finish_and_takes_no_other(serve, monkeypatch):
    monkeypatch.setenv("MINGJIAN_OPEN_ACCESS", "true")
    server = serve()
    body = json.dumps({"events": events_of(["a", "b"])}).encode()
    head = (
        f"POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as under_way:
        under_way.sendall(head.encode() + body[:20])
        server.call("GET", "/livez")  # by now the first request is read too
        server.process.send_signal(signal.SIGTERM)
        server.wait_until_closed()
        under_way.sendall(body[20:])
        answer = b"".join(iter(lambda: under_way.recv(65_536), b""))
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.count(b'"accepted"') == 2
    assert server.process.wait(60) == 0
    entries, states = asyncio.run(contents())
    assert sum(map(len, entries.values())) == 2
    assert len(states) == 2


N_KILLS = 50
USERS = [f"u{n}" for n in range(7)]


def events_of(event_ids):
    """An event for each id, of users in turn."""
    return [
        {"event_id": one, "user_id": USERS[n % 7], "event": "open", "occurred_at": "2025-01-01T00:00:00Z"}
        for n, one in enumerate(event_ids)
    ]


class Sender(threading.Thread):
    """Sends batches until the server is gone; keeps those that were acknowledged."""

    def __init__(self, server, name):
        super().__init__()
        self._server = server
        self._name = name
        self.acknowledged = []
        self.statuses = set()

    def run(self):
        with suppress(OSError, http.client.HTTPException):
            for n in itertools.count():
                batch = events_of(f"{self._name}-{n}-{m}" for m in range(20))
                status, answer = self._server.call("POST", "/v1/events", {"events": batch})
                self.statuses.add(status)
                if status != 200:
                    return
                self.statuses |= {one["status"] for one in answer["results"]}
                self.acknowledged.append(batch)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("stores")
def test_killed_during_ingest_nothing_acknowledged_is_lost_and_nothing_counts_twice(serve, monkeypatch, eventually):
    monkeypatch.setenv("MINGJIAN_OPEN_ACCESS", "true")
    rng, acknowledged = random.Random(1), []
    for kill in range(N_KILLS):
        server = serve()
        senders = [Sender(server, f"{kill}-{n}") for n in range(3)]
        for sender in senders:
            sender.start()
        try:
            n_wanted = rng.randint(2, 12)
            eventually(lambda own=senders, n=n_wanted: sum(len(one.acknowledged) for one in own) >= n)
            time.sleep(rng.uniform(0, 0.02))  # the moment within a batch varies too
        finally:
            server.stop(signal.SIGKILL)
        for sender in senders:
            sender.join()
            assert sender.statuses <= {200, "accepted"}
            acknowledged += sender.acknowledged
    server = serve()  # the start repairs what the last kill left
    entries, states = asyncio.run(contents())
    assert states == {user_id: fold(UserState(), own).encode() for user_id, own in entries.items()}
    for batch in acknowledged:
        _, answer = server.call("POST", "/v1/events", {"events": batch})
        assert {one["status"] for one in answer["results"]} == {"duplicate"}
    assert asyncio.run(contents()) == (entries, states)
    assert main(["rebuild-state"]) == 0
    assert asyncio.run(contents()) == (entries, states)
    assert sum(map(len, entries.values())) >= 20 * len(acknowledged) > 20 * N_KILLS


def held_of(needle, folder):
    """The tables and files in which a text occurs."""
    with closing(sqlite3.connect(folder / "mingjian.db")) as file:
        names = [name for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        tables = {name for name in names if needle in str(file.execute(f"SELECT * FROM {name}").fetchall())}
    return tables | {one.name for one in folder.glob("mingjian.db*") if needle.encode() in one.read_bytes()}


@pytest.mark.slow
@pytest.mark.parametrize("delay_s", [0.0, 0.01, 0.1])
def test_killed_during_an_erasure_the_next_start_completes_it(serve, data_dir, monkeypatch, eventually, delay_s):
    monkeypatch.setenv("MINGJIAN_OPEN_ACCESS", "true")
    monkeypatch.setenv("MINGJIAN_REPAIR_S", "0.05")
    server = serve()
    for n in range(6):
        events = [one | {"user_id": "planted-secret"} for one in events_of(f"{n}-{m}" for m in range(1_000))]
        assert server.call("POST", "/v1/events", {"events": events})[0] == 200
    others = [one | {"target_user_id": "planted-secret"} for one in events_of(["a", "b", "c"])]
    assert server.call("POST", "/v1/events", {"events": others})[0] == 200
    _, states = asyncio.run(contents())
    erased = []

    def erase():
        with suppress(OSError, http.client.HTTPException):
            erased.append(server.call("DELETE", "/v1/users/planted-secret"))

    erasing = threading.Thread(target=erase)
    erasing.start()
    time.sleep(delay_s)  # the moment within the erasure varies
    server.stop(signal.SIGKILL)
    erasing.join()
    server = serve()
    if not erased and not tombstones(data_dir):
        assert server.call("DELETE", "/v1/users/planted-secret")[0] == 200  # it had not begun
    eventually(lambda: not held_of("planted-secret", data_dir))
    late = events_of(["late"])[0] | {"user_id": "planted-secret"}
    assert server.call("POST", "/v1/events", {"events": [late]})[1]["results"][0]["code"] == "erased_user"
    assert asyncio.run(contents())[1] == states
    assert not held_of("planted-secret", data_dir)


def tombstones(folder):
    with closing(sqlite3.connect(folder / "mingjian.db")) as file:
        return file.execute("SELECT * FROM tombstones").fetchall()


async def contents():
    """By user: the journal's entries, and the encoded state."""
    async with open_stores(Settings()) as stores:
        entries = await stores.journal.entries(dict.fromkeys(USERS, 0))
        stored = await stores.states.get_many(USERS)
    return entries, {user_id: one.encoded for user_id, one in stored.items()}

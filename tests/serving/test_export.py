"""``python -m serving export-events``: the journal as a dataset, and back."""

import asyncio
import csv
import random
from urllib.parse import quote

import pytest
from pydantic import PostgresDsn, Secret

from features.schema import EVENT_KINDS
from features.snapshots import EventLog
from features.sources import Dataset
from features.state import INSTANTS, UserStates
from serving.__main__ import main
from serving.store.stores import open_stores

IDS = [
    "u1",
    "用户😀",
    'a"b',
    "a,b",
    "in side",
    "'q'",
    "#",
    "-1",
    "NULL",
    "null",
    "\\N",
    "é\u3000x",
    "'",
    '"',
    "1e5",
    "=1+1",
]


@pytest.fixture(params=["sqlite", "postgres"])
def environment(request, world, monkeypatch):
    """``main`` works on the world's stores, in each kind of journal."""
    monkeypatch.setenv("MINGJIAN_DATA_DIR", str(world.settings.data_dir))
    if request.param == "sqlite":
        return {}
    url = request.getfixturevalue("postgres_url")
    monkeypatch.setenv("MINGJIAN_JOURNAL_URL", url)
    return {"journal_url": Secret(PostgresDsn(url))}


@pytest.fixture
def client(world, environment):
    world.registry.release()
    with world.open(**environment) as client:
        yield client


def export(folder, *arguments):
    return main(["export-events", "--out", str(folder), *arguments])


def rows(file):
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def facts(states):
    """All that states hold, bit for bit."""
    return tuple(getattr(states, name).tobytes() for name in (*INSTANTS, "rows", "row_user"))


def test_states_made_offline_from_an_export_are_the_online_ones_bit_for_bit(client, send, event, world, tmp_path):
    rng = random.Random(3)
    for n, user_id in enumerate(IDS):
        for registered_at in (None, f"2023-0{1 + n % 9}-01T00:00:00.000{n % 10}+08:00"):
            answer = client.put(f"/v1/users/{quote(user_id)}", json={"registered_at": registered_at})
            assert answer.status_code == 200, user_id
    for _ in range(20):
        send(
            *(
                event(
                    rng.choice(IDS),
                    days=rng.randrange(1, 900),
                    hours=rng.random(),
                    event=rng.choice([*EVENT_KINDS, "摇一摇", 'x,"y']),
                    value=rng.choice([None, 0.1, -1e9, 1e9, rng.uniform(-1e6, 1e6), 1e-320]),
                    note_id=rng.choice([None, *IDS]),
                )
                for _ in range(100)
            )
        )
    assert export(tmp_path / "out") == 0
    dataset = Dataset(tmp_path / "out", now=world.clock())
    assert {name: one.n_rows for name, one in dataset.summaries.items()} == {"events": 2_000, "users": len(IDS)}
    [snapshot] = EventLog(dataset, [world.clock()]).snapshots()
    assert sorted(snapshot.user_ids) == sorted(IDS)
    stored = client.portal.call(client.app.state.services.states.get_many, IDS)
    online = UserStates.decode([stored[user_id].encoded for user_id in snapshot.user_ids])
    assert facts(snapshot.states) == facts(online)


def test_an_export_holds_what_was_sent_and_the_last_profiles(client, send, event, tmp_path):
    sent = event("u1", event="read", note_id="n", value=38.5, session_id="s", target_user_id="v", recommendation_id="r")
    send(sent)
    opted_out = {"personalisation_opt_out": True, "is_minor": False}
    for profile in ({"n_followers": 1}, opted_out, {"n_followers": 2}):
        client.put("/v1/users/u1", json=profile)
    assert export(tmp_path / "out") == 0
    assert rows(tmp_path / "out/events.csv") == [
        sent | {"value": "38.5", "occurred_at": "2025-04-30T12:00:00+00:00", "received_at": "2025-05-01T12:00:00+00:00"}
    ]
    assert rows(tmp_path / "out/users.csv") == [
        {
            "user_id": "u1",
            "registered_at": "",
            "n_followers": "2",
            "personalisation_opt_out": "true",
            "is_minor": "false",
        }
    ]
    assert sorted(one.name for one in tmp_path.iterdir() if "out" in one.name) == ["out"]


def test_an_export_has_nothing_of_an_erased_user(client, send, event, tmp_path):
    send(event("u1"), event("u2", target_user_id="u1"))
    client.put("/v1/users/u1", json={})
    client.delete("/v1/users/u1")
    assert export(tmp_path / "out") == 0
    assert [(one["user_id"], one["target_user_id"]) for one in rows(tmp_path / "out/events.csv")] == [("u2", "")]
    assert not (tmp_path / "out/users.csv").exists()


def test_since_leaves_out_what_occurred_before(client, send, event, tmp_path):
    send(event("old", days=5), event("new", days=4))
    assert export(tmp_path / "out", "--since", "2025-04-27T20:00:00+08:00") == 0
    assert [one["user_id"] for one in rows(tmp_path / "out/events.csv")] == ["new"]


def test_a_folder_that_is_not_empty_is_refused_and_left_alone(client, send, event, tmp_path, capsys):
    send(event())
    (tmp_path / "out").mkdir()
    (tmp_path / "out/kept").touch()
    assert export(tmp_path / "out") == 2
    assert "not an empty folder" in capsys.readouterr().err
    assert [one.name for one in (tmp_path / "out").iterdir()] == ["kept"]


def test_nothing_to_export_is_said_and_leaves_nothing(client, tmp_path, capsys):
    assert export(tmp_path / "out") == 2
    assert "nothing to export" in capsys.readouterr().err
    assert not [one for one in tmp_path.iterdir() if "out" in one.name]


def test_an_export_that_was_cut_off_starts_anew(client, send, event, tmp_path):
    send(event())
    (tmp_path / ".out.part").mkdir()
    (tmp_path / ".out.part/half").touch()
    assert export(tmp_path / "out") == 0
    assert [one.name for one in (tmp_path / "out").iterdir()] == ["events.csv"]
    assert not (tmp_path / ".out.part").exists()


def test_an_empty_folder_that_is_there_is_filled(client, send, event, tmp_path):
    send(event())
    (tmp_path / "out").mkdir()
    assert export(tmp_path / "out") == 0


def test_what_lies_ahead_of_the_clock_is_left_out(client, send, event, world, tmp_path):
    """Of an export, as its reader would refuse it."""
    send(event("u1"), event("u2"))
    world.clock.now = world.clock.now.replace(year=2100)
    assert send(event("u1", occurred_at="2100-04-30T00:00:00Z"))[0]["status"] == "accepted"
    assert client.put("/v1/users/u1", json={"registered_at": "2099-01-01T00:00:00Z"}).status_code == 200
    assert export(tmp_path / "out") == 0
    assert len(rows(tmp_path / "out/events.csv")) == 2
    assert rows(tmp_path / "out/users.csv")[0]["registered_at"] == ""


@pytest.mark.parametrize("since", ["yesterday", "2025-04-27", "2025-04-27T20:00:00"])
def test_an_instant_without_a_zone_is_refused(since, capsys):
    with pytest.raises(SystemExit):
        export("out", "--since", since)
    assert "with its zone" in capsys.readouterr().err


async def read_pages(settings, limit):
    async with open_stores(settings) as stores:
        first = await stores.journal.page(0, limit=limit)
        return first, await stores.journal.page(first[-1][0], limit=limit)


def test_pages_follow_each_other(client, send, event, world, environment):
    send(*(event() for _ in range(5)))
    first, second = asyncio.run(read_pages(world.settings.model_copy(update=environment), 3))
    assert [seq for seq, _ in first + second] == [1, 2, 3, 4, 5]

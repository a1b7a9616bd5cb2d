"""GET and DELETE /v1/users/{user_id} over HTTP, on each pair of stores that is meant for production."""

import asyncio
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from pydantic import RedisDsn, Secret
from sqlalchemy import create_engine, select

from serving.errors import StoreError
from serving.store.note_scores import NewNoteScore, NoteRun
from serving.store.reviews import NewReview, Origin
from serving.store.scores import NewScore, ScoreRun
from serving.store.tables import METADATA

USER = "planted-secret-user"


@pytest.fixture
def client(world, stores):
    world.registry.release()
    with world.open(**stores) as client:
        yield client


@pytest.fixture
def everything_kept(request, world, stores, postgres):
    """Gives all that the stores hold, table by table and key by key, as text."""

    def kept():
        if stores:
            url, redis = request.getfixturevalue("postgres_url"), request.getfixturevalue("own_redis").client
            tables = {name: str(postgres(f"SELECT * FROM {name}", url)) for name in METADATA.tables}
            keys = {key.decode(): str(redis.dump(key)) for key in redis.scan_iter("*")}
            return tables | {key: key + value for key, value in keys.items()}
        engine = create_engine(f"sqlite:///{world.settings.database}")
        with engine.connect() as connection:
            tables = {name: str(connection.execute(select(one)).all()) for name, one in METADATA.tables.items()}
        engine.dispose()
        files = {one.name: str(one.read_bytes()) for one in world.settings.data_dir.glob("mingjian.db*")}
        return tables | files

    return kept


def about(event, user_id=USER, **fields):
    """An event of a user, and one of another that names them."""
    return [event(user_id, **fields), event("other", event="follow", target_user_id=user_id)]


def test_all_that_is_held_of_a_user_is_said(client, send, event):
    profile = {"registered_at": "2024-11-03T09:00:00+08:00", "n_followers": 12, "is_minor": True}
    client.put(f"/v1/users/{USER}", json=profile)
    client.put("/v1/notes/n1", json={"body": "x", "author_id": USER})
    send(*about(event, days=3), *about(event, days=2), event(USER, event="阅读", days=1))
    answer = client.get(f"/v1/users/{USER}").json()
    del answer["request_id"], answer["took_ms"]
    assert answer == {
        "degraded": [],
        "user_id": USER,
        "profile": {
            "registered_at": "2024-11-03T01:00:00Z",
            "n_followers": 12,
            "personalisation_opt_out": None,
            "is_minor": True,
        },
        "n_profiles": 1,
        "events": [
            {"event": "open", "n": 2, "first_at": "2025-04-28T12:00:00Z", "last_at": "2025-04-29T12:00:00Z"},
            {"event": "阅读", "n": 1, "first_at": "2025-04-30T12:00:00Z", "last_at": "2025-04-30T12:00:00Z"},
        ],
        "n_mentions": 2,
        "state": {
            "first_at": "2025-04-28T12:00:00Z",
            "last_at": "2025-04-30T12:00:00Z",
            "latest_at": "2025-04-30T12:00:00Z",
            "registered_at": "2024-11-03T01:00:00Z",
            "n_days": 3,
        },
        "notes": {"n": 1, "first_at": "2025-05-01T12:00:00Z", "last_at": "2025-05-01T12:00:00Z"},
        "reviews": None,
        "deleted_interests": [],
        "recommendations": None,
        "assignments": None,
        "segment": None,
        "scores": [],
    }


RUN = ScoreRun(as_of=1_746_000_000_000_000, version="7", digest="d" * 64, thresholds={7: 0.6, 30: 0.4})


def put_scores(client, *user_ids):
    """Keeps scores of users as ``score-all`` does."""
    new = [NewScore(user_id, "scored", RUN.as_of - 1_000_000, [0.25, 0.5]) for user_id in user_ids]
    client.portal.call(client.app.state.services.lists._scores.put_many, RUN, new)


def test_the_scores_held_of_a_user_are_said(client):
    put_scores(client, USER)
    week, month = client.get(f"/v1/users/{USER}").json()["scores"]
    assert (week["horizon_days"], week["probability"], month["horizon_days"]) == (7, 0.25, 30)
    assert month == {
        "horizon_days": 30,
        "status": "scored",
        "probability": 0.5,
        "last_active_at": "2025-04-30T07:59:59Z",
        "changed_at": "2025-04-30T08:00:00Z",
        "as_of": "2025-04-30T08:00:00Z",
        "model": {"name": "churn", "version": "7", "digest": "d" * 64},
    }


def test_scores_of_an_erased_user_that_come_late_are_not_kept(client, everything_kept):
    client.delete(f"/v1/users/{USER}")
    put_scores(client, USER, "other")
    assert [one["user_id"] for one in client.get("/v1/users?with_withheld=true").json()["results"]] == ["other"]
    put_scores(client, USER)
    assert [name for name, text in everything_kept().items() if USER in text] == []


def test_the_preferences_put_last_are_the_ones_held(client):
    for opt_out in (True, False, True):
        client.put("/v1/users/u1", json={"personalisation_opt_out": opt_out})
    held = client.get("/v1/users/u1").json()
    assert (held["profile"]["personalisation_opt_out"], held["n_profiles"]) == (True, 3)


def test_a_user_whom_others_only_mention_is_held(client, send, event):
    send(event("other", target_user_id=USER))
    answer = client.get(f"/v1/users/{USER}").json()
    assert (answer["profile"], answer["events"], answer["n_mentions"], answer["state"]) == (None, [], 1, None)


def test_a_user_never_heard_of_is_not_found(client):
    answer = client.get(f"/v1/users/{USER}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert USER not in answer.text


HOLDING = {
    "facts",
    "user_states",
    "scores",
    "notes",
    "note_scores",
    "reviews",
    "recommendations",
    "assignments",
    "user_segments",
}
HOLDING |= {f"mingjian:state:{USER}"}
"""Where the answer to ``GET`` looks. A table or key that holds a user's id must be added there and here."""


def test_every_table_that_names_users_is_one_that_the_answer_looks_into():
    people = ("user_id", "target_user_id", "author_id")
    naming = {name for name, table in METADATA.tables.items() if any(column.name in people for column in table.c)}
    assert naming - HOLDING == {"pending_erasures"}  # which holds an id for as long as its erasure takes


def test_erasing_leaves_nothing_of_the_user_in_any_table_key_or_file(client, send, event, everything_kept):
    others = [event(f"u{n % 9}", days=1 + n % 40, session_id=f"s{n}") for n in range(400)]
    own = [event(USER, days=1 + n % 40, note_id=f"{USER}-{n}") for n in range(400)]
    for start in range(0, 400, 50):
        send(*others[start : start + 50], *own[start : start + 50], *about(event))
    client.put(f"/v1/users/{USER}", json={"n_followers": 1})
    for n in range(30):
        client.put(f"/v1/notes/{USER}-{n}", json={"body": f"{USER} 的第 {n} 篇", "author_id": USER})
    put_scores(client, USER, "other")
    places = {name for name, text in everything_kept().items() if USER in text}
    assert {name for name in places if ".db" not in name} <= HOLDING
    assert len(places) >= 2
    answer = client.delete(f"/v1/users/{USER}").json()
    assert (answer["complete"], answer["degraded"], answer["erased_at"]) == (True, [], "2025-05-01T12:00:00Z")
    assert [name for name, text in everything_kept().items() if USER in text] == []
    assert client.get(f"/v1/users/{USER}").status_code == 404
    assert len(client.get("/v1/users/other").json()["events"]) == 1


def test_notes_by_an_erased_user_are_gone_with_their_scores_and_refused_from_then_on(client, world):
    note = {"body": "今天加微信" * 5, "author_id": USER}
    client.put("/v1/notes/n1", json=note)
    client.put("/v1/notes/n2", json=note | {"author_id": "other"})
    scores = [NewNoteScore(f"n{n}", 1, USER, None, 0, 50.0, "pass", []) for n in (1, 2)]
    client.portal.call(client.app.state.services.note_lists._scores.put_many, NoteRun(1, "1", "d"), scores)
    assert client.delete(f"/v1/users/{USER}").json()["complete"]
    assert [client.get(f"/v1/notes/n{n}").status_code for n in (1, 2)] == [404, 200]
    assert [one["note_id"] for one in client.get("/v1/notes").json()["results"]] == ["n2"]
    for note_id in ("n1", "n3", "n2"):
        answer = client.put(f"/v1/notes/{note_id}", json=note)
        assert (answer.status_code, answer.json()["code"]) == (410, "erased_user")
    assert client.get("/v1/notes/n2").json()["author_id"] == "other"


def open_review(client, note_id, author_id):
    """Has a note looked at for its author, as an appeal does."""
    new = NewReview(
        f"review-{note_id}", note_id, 1, author_id, None, None, Origin.APPEAL, None, {}, 50.0, "review", "r", "p", "1",
        "d", sampled=False, propensity=1.0, n_reports=0, priority=0.0,
    )  # fmt: skip
    appeal = client.app.state.services.desk._reviews.appeal
    client.portal.call(partial(appeal, new, f"{author_id} 不同意", at=1_700_000_000_000_000))


def test_what_is_held_includes_reviews_of_the_users_notes_and_their_appeals(client):
    client.put("/v1/notes/n1", json={"body": "x", "author_id": USER})
    client.put("/v1/notes/n2", json={"body": "y", "author_id": "other"})
    for note_id, author_id in (("n1", USER), ("n2", "other")):
        open_review(client, note_id, author_id)
    at = "2023-11-14T22:13:20Z"
    held = client.get(f"/v1/users/{USER}").json()["reviews"]
    assert held == {"n": 1, "n_waiting": 1, "n_appeals": 1, "first_at": at, "last_at": at}


def test_a_note_that_became_anothers_keeps_no_trace_of_its_erased_author(client, everything_kept):
    client.put("/v1/notes/n1", json={"body": "x", "author_id": USER})
    open_review(client, "n1", USER)
    score = NewNoteScore("n1", 1, USER, None, 0, 50.0, "pass", [])
    client.portal.call(client.app.state.services.note_lists._scores.put_many, NoteRun(1, "1", "d"), [score])
    client.put("/v1/notes/n1", json={"body": "x", "author_id": "other"})
    assert client.delete(f"/v1/users/{USER}").json()["complete"]
    assert [name for name, text in everything_kept().items() if USER in text] == []
    assert client.get("/v1/notes/n1").json()["author_id"] == "other"
    assert client.get("/v1/users/other").json()["notes"]["n"] == 1


def test_a_batch_of_one_does_not_tell_whom_it_was_for(client, everything_kept):
    client.post("/v1/actions:assign", json={"batch_id": "b", "user_ids": [USER]})
    client.delete(f"/v1/users/{USER}")
    named = json.dumps([USER]).encode()
    guesses = [hashlib.sha256(named), hashlib.sha256(USER.encode()), hashlib.blake2b(USER.encode(), digest_size=32)]
    kept = "".join(everything_kept().values())
    assert [one.hexdigest() for one in guesses if one.hexdigest() in kept] == []


def test_erasing_again_or_a_user_never_heard_of_answers_the_same(client, world, send, event):
    send(event(USER))
    first = client.delete(f"/v1/users/{USER}")
    world.clock.now = world.clock.now.replace(hour=13)
    again = client.delete(f"/v1/users/{USER}")
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json()["erased_at"] == again.json()["erased_at"] == "2025-05-01T12:00:00Z"
    unknown = client.delete("/v1/users/never-heard-of").json()
    assert (unknown["complete"], unknown["erased_at"]) == (True, "2025-05-01T13:00:00Z")


def test_late_events_and_profiles_do_not_bring_an_erased_user_back(client, send, event, score, everything_kept):
    known = event(USER)
    send(known)
    client.delete(f"/v1/users/{USER}")
    results = send(known, event(USER), *about(event))
    assert [(one["status"], one["code"]) for one in results[:3]] == [("rejected", "erased_user")] * 3
    assert results[3]["status"] == "accepted"
    answer = client.put(f"/v1/users/{USER}", json={})
    assert (answer.status_code, answer.json()["code"]) == (410, "erased_user")
    assert score(USER)["results"][0]["status"] == "cold_start"
    assert [name for name, text in everything_kept().items() if USER in text] == []


def test_an_erasure_changes_no_state_of_others_and_a_rebuild_gives_the_same(client, send, event):
    send(*(event(f"u{n % 5}", days=1 + n, target_user_id=USER, value=n) for n in range(50)), *about(event))
    services, users = client.app.state.services, [*(f"u{n}" for n in range(5)), "other", USER]
    before = client.portal.call(services.states.get_many, users)
    client.delete(f"/v1/users/{USER}")
    expected = {user_id: state for user_id, state in before.items() if user_id != USER}
    assert client.portal.call(services.states.get_many, users) == expected

    async def rebuild():
        async for _ in services.folder.rebuild():
            pass

    client.portal.call(rebuild)
    assert client.portal.call(services.states.get_many, users) == expected


def test_an_erasure_racing_with_the_users_events_is_never_undone(client, event, score, everything_kept):
    users = [f"{USER}-{n}" for n in range(8)]

    def ingest(user_id):
        for _ in range(12):
            answer = client.post("/v1/events", json={"events": [event(user_id) for _ in range(3)]})
            assert answer.status_code == 200
            score(user_id)

    def erase(user_id):
        assert client.delete(f"/v1/users/{user_id}").json()["complete"]

    with ThreadPoolExecutor(8) as threads:
        jobs = [threads.submit(job, user_id) for user_id in users for job in (ingest, erase)]
    assert [one.result() for one in jobs] == [None] * 16
    assert [name for name, text in everything_kept().items() if USER in text] == []


class FailingTwice:
    """A store whose next two erasures fail."""

    def __init__(self, store):
        self.store = store
        self.n_failures = 0

    async def erase(self, user_id):
        if self.n_failures == 2:
            return await self.store.erase(user_id)
        self.n_failures += 1
        raise StoreError("down")


@pytest.mark.parametrize("name", ["journal", "states", "scores"])
def test_a_store_that_fails_is_named_and_a_later_repair_completes_the_erasure(
    client, send, event, everything_kept, name
):
    send(*about(event))
    rights = client.app.state.services.rights
    rights._stores = {**rights._stores, name: FailingTwice(rights._stores[name])}
    answer = client.delete(f"/v1/users/{USER}").json()
    assert (answer["complete"], answer["degraded"]) == (False, [name])
    assert send(event(USER))[0]["code"] == "erased_user"
    for n_waiting in (1, 0):
        client.portal.call(rights.finish_pending)
        assert f"mingjian_pending_erasures {n_waiting}.0" in client.get("/metrics").text
    assert [place for place, text in everything_kept().items() if USER in text] == []


def test_an_erasure_that_a_crash_cut_off_is_completed_at_the_next_start(world, stores, event, everything_kept):
    with world.open(**stores) as client:
        client.post("/v1/events", json={"events": about(event)})
        client.portal.call(client.app.state.services.rights._erasures.begin, USER, 1)  # and then the process died
    with world.open(**stores):
        assert [name for name, text in everything_kept().items() if USER in text] == []


def test_redis_away_during_an_erasure_has_it_repaired_later(world, own_redis, event):
    world.registry.release()
    with world.open(state_url=Secret(RedisDsn(own_redis.url))) as client:
        client.post("/v1/events", json={"events": about(event)})
        own_redis.client.save()
        own_redis.stop()
        answer = client.delete(f"/v1/users/{USER}").json()
        assert (answer["complete"], answer["degraded"]) == (False, ["states"])
        own_redis.start()
        assert own_redis.client.exists(f"mingjian:state:{USER}")
        rights = client.app.state.services.rights
        client.portal.call(rights.finish_pending)  # as a server does every MINGJIAN_REPAIR_S
        assert not own_redis.client.exists(f"mingjian:state:{USER}")
        assert client.portal.call(rights._erasures.backlog).n == 0


def test_a_fold_that_read_facts_before_the_erasure_can_not_put_them_back(client, event):
    """The worst moment: between a fold's reading of the journal and its put of the user's first state."""
    services = client.app.state.services
    client.app.state.services.folder._states = lost = LostStates(services.states)

    async def race():
        fact = {"event_id": "e", "user_id": USER, "event": "open", "occurred_at": "2025-01-01T00:00:00Z"}
        answering = asyncio.create_task(asyncio.to_thread(client.post, "/v1/events", json={"events": [fact]}))
        await lost.reached.wait()
        await services.rights.erase(USER)
        lost.go_on.set()
        return await answering

    assert client.portal.call(race).json()["results"][0]["status"] == "accepted"
    assert client.portal.call(services.states.held, USER) is None


class LostStates:
    """Stops before a put until told to go on."""

    def __init__(self, states):
        self._states = states
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()
        self.get_many, self.generation = states.get_many, states.generation

    async def put_many(self, updates):
        self.reached.set()
        await self.go_on.wait()
        return await self._states.put_many(updates)

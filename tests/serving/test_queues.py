"""What waits is seen: how long the first item of each queue does, and what can't be done holds up nothing else."""

import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest

from serving.store.catalogue import Postponed
from serving.store.notes import Note
from serving.store.sql_catalogue import SqlCatalogue
from serving.store.sql_erasures import SqlErasures
from serving.store.sql_notes import SqlNotes

MINUTE_US = 60_000_000


@pytest.fixture
def refuse(world):
    """Has the database refuse to delete the states of users whose ids begin so; gives a way to end that."""

    def begin(prefix):
        change(
            f"CREATE TRIGGER refusing BEFORE DELETE ON user_states WHEN OLD.user_id LIKE '{prefix}%' "
            "BEGIN SELECT RAISE(ABORT, 'refused'); END"
        )
        return lambda: change("DROP TRIGGER refusing")

    def change(statement):
        with closing(sqlite3.connect(world.settings.database, timeout=30)) as database, database:
            database.execute(statement)

    return begin


def erasures_of(client, world):
    """Gives how many erasures wait, and what ``/readyz`` and the metrics say of them."""
    services = client.app.state.services
    client.portal.call(services.rights.finish_pending)
    client.portal.call(services.queues.look)
    world.clock.now += timedelta(minutes=10)
    value = services.metrics.registry.get_sample_value
    answer = client.get("/readyz")
    assert answer.status_code == 200
    return (
        value("mingjian_pending_erasures"),
        answer.json()["troubles"].get("erasures"),
        value("mingjian_oldest_waiting_seconds", {"job": "erasures"}),
    )


def test_an_erasure_that_a_store_refuses_is_seen_and_holds_up_no_other(client, world, send, event, refuse):
    send(event("bad"), event("good"))
    allow = refuse("bad")
    answer = client.delete("/v1/users/bad").json()
    assert (answer["complete"], answer["degraded"]) == (False, ["states"])
    assert client.delete("/v1/users/good").json()["complete"]
    assert erasures_of(client, world) == (1, "waiting", 600)
    assert erasures_of(client, world) == (1, "waiting", 1_200)
    allow()
    assert erasures_of(client, world) == (0, None, 0)
    assert client.get("/v1/users/bad").status_code == 404


@pytest.mark.slow
def test_more_refused_erasures_than_are_looked_at_in_one_go_starve_none(client, world, send, event, refuse):
    users = [*(f"bad{n:03}" for n in range(101)), "good"]
    send(*(event(user_id) for user_id in users))
    refuse("bad")
    services = client.app.state.services
    for user_id in users:
        client.portal.call(services.rights._erasures.begin, user_id, world.clock())
    assert [erasures_of(client, world)[0] for _ in range(2)] == [102, 101]
    assert client.get("/v1/users/good").status_code == 404


@pytest.mark.anyio
async def test_the_first_unread_note_waits_since_it_was_put_and_those_that_failed_come_after(database):
    notes, catalogue = SqlNotes(database), SqlCatalogue(database)
    assert await catalogue.oldest_unread() is None
    for at, note_id in enumerate(("a", "b"), 1):
        await notes.put(Note(note_id, "", note_id), signature=b"", at=at * MINUTE_US)
    assert await catalogue.oldest_unread() == MINUTE_US
    first, second = await catalogue.unread("model", at=0, limit=9)
    assert (first.note_id, first.n_attempts) == ("a", 0)
    await catalogue.postpone([Postponed(first.note_no, first.change_no, 1, 5 * MINUTE_US)])
    assert await catalogue.oldest_unread() == 2 * MINUTE_US
    assert await catalogue.unread("model", at=5 * MINUTE_US - 1, limit=9) == [second]
    assert await catalogue.unread("model", at=5 * MINUTE_US, limit=9) == [second, first._replace(n_attempts=1)]


@pytest.mark.anyio
async def test_erasures_wait_since_they_were_begun_and_those_that_failed_come_after(database):
    log = SqlErasures(database)
    assert await log.backlog() == (0, None)
    for at, user_id in enumerate("uv", 1):
        await log.begin(user_id, at)
    assert await log.backlog() == (2, 1)
    await log.postpone("u", try_at=9)
    assert await log.pending(at=8, limit=9) == [("v", 0)]
    assert await log.pending(at=9, limit=9) == [("v", 0), ("u", 1)]

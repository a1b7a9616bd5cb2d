"""Retention: what is old goes, and no score changes for it."""

import random

import numpy as np
import pytest

from features.schema import EVENT_KINDS
from features.state import DAY_US, NEVER, RETAINED_DAYS
from features.user import CATALOGUE, compute_features
from serving.folding import Folder
from serving.retention import Kept, Retention
from serving.store.journal import Fact, FactType
from serving.store.sql_assignments import SqlAssignments
from serving.store.sql_keys import SqlKeys
from serving.store.sql_recommendations import SqlRecommendations
from serving.workers import Workers

EVENTS_DAYS = 1_095
NOW = 20_000 * DAY_US + 8 * 3_600_000_000


@pytest.fixture
def retention(database, journal):
    return Retention(
        journal,
        SqlKeys(database),
        [Kept(SqlRecommendations(database).retire, 180), Kept(SqlAssignments(database).retire, 365)],
        events_days=EVENTS_DAYS,
        keys_days=365,
        clock=lambda: NOW,
    )


def logs(rng, n_users=60):
    """Logs of users who came and went at different times, received as they occurred or up to 40 days late."""
    for n in range(n_users):
        start, end = sorted(rng.choices(range(20_000 - 3_000, 20_000), k=2))
        for _ in range(rng.randrange(1, 60)):
            at = rng.randrange(start, end + 1) * DAY_US + rng.choice([0, 16, 20]) * 3_600_000_000
            late = min(at + rng.choice([0, 0, 40]) * DAY_US, NOW)
            value = rng.choice([None, 2.5])
            yield Fact(FactType.EVENT, f"u{n}", min(at, NOW), late, event=rng.choice(EVENT_KINDS), value=value)
        if n % 3 == 0:
            yield Fact(FactType.PROFILE, f"u{n}", start * DAY_US, start * DAY_US, body='{"registered_at": 5}')


@pytest.mark.anyio
@pytest.mark.parametrize("seed", [1, 2])
async def test_no_feature_of_a_user_who_is_not_gone_changes_by_a_bit(journal, states, retention, seed):
    facts = sorted(logs(random.Random(seed)), key=lambda one: one.received_at)
    for start in range(0, len(facts), 400):
        await journal.append(facts[start : start + 400])
    folder, users = Folder(journal, states, Workers()), sorted({one.user_id for one in facts})
    await folder.repair()
    instants = [NOW, NOW + 1, NOW + 30 * DAY_US, NOW - (EVENTS_DAYS - RETAINED_DAYS - 1) * DAY_US]
    features = list(CATALOGUE.values())
    before = [compute_features(features, await folder.states_at(users, at), at) for at in instants]
    await retention.sweep()
    await folder.repair()
    kept = await states.get_many(users)
    received = {user_id: max(one.received_at for one in facts if one.user_id == user_id) for user_id in users}
    there = [n for n, user_id in enumerate(users) if received[user_id] >= NOW - EVENTS_DAYS * DAY_US]
    seen = await folder.states_at(users, NOW)
    gone = sorted({*range(len(users))} - {*there})
    assert 0 < len(gone) < len(users)
    assert (seen.last_at[gone] == NEVER).all()
    assert await journal.held(users[gone[-1]]) is None or (await journal.held(users[gone[-1]])).events == []
    for at, table in zip(instants, before, strict=True):
        after = compute_features(features, await folder.states_at(users, at), at)
        active = [n for n in there if seen.last_at[n] >= at - RETAINED_DAYS * DAY_US]
        assert np.array_equal(after[active], table[active], equal_nan=True)
    n_left = sum([sum(one.n for one in held.events) for held in [await journal.held(one) for one in users] if held])
    assert n_left < sum(one.type is FactType.EVENT for one in facts)
    async for _ in folder.rebuild():
        pass
    assert await states.get_many(users) == kept


def test_an_answer_as_of_an_instant_for_which_events_went_says_so(world, event):
    """On 2028-05-02 the events received on 2025-05-01 go: what they are needed for lies up to 731 days after."""
    world.registry.release()
    instants = ["2026-05-01T00:00:00Z", "2027-05-04T11:59:59Z", "2027-05-04T12:00:00Z"]

    def degraded(client):
        answers = [client.post("/v1/users:score", json={"user_ids": ["u1"], "as_of": one}) for one in instants]
        return [one.json()["degraded"] for one in answers]

    with world.open() as client:
        client.post("/v1/events", json={"events": [event("u1")]})
        world.clock.now = world.clock.now.replace(year=2028, day=2)  # 1,097 days later: 2025-05-03 is 1,095 before
        assert degraded(client) == [[], [], []]
        client.portal.call(client.app.state.services.retention.sweep)
        assert degraded(client) == [["history"], ["history"], []]
    with world.open() as client:
        assert degraded(client) == [["history"], ["history"], []]


def test_a_running_server_sweeps(client, send, event, world):
    send(*(event("u1", days=days) for days in (5, 4)))
    world.clock.now = world.clock.now.replace(year=2029)
    send(event("u2", occurred_at="2029-04-30T00:00:00Z"))
    client.portal.call(client.app.state.services.retention.sweep)
    client.portal.call(client.app.state.services.folder.repair)
    assert client.get("/v1/users/u1").json()["events"] == []
    assert client.get("/v1/users/u1").json()["state"]["n_days"] == 0
    assert client.get("/v1/users/u2").json()["state"]["n_days"] == 1

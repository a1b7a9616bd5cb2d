"""KPIs over hand-worked events: who was active, for how long, what came of it, and who came back."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from serving.score_notes import score_notes

NOON = datetime(2025, 4, 1, 4, tzinfo=UTC)  # in the community; today is Thursday, the 1st of May


@pytest.fixture
def kpis(client, world):
    def get(**query):
        client.portal.call(client.app.state.services.kpis.roll, world.clock())
        answer = client.get("/v1/kpis", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return get


@pytest.fixture
def did(client):
    """Has a user do something on a day of April."""
    n_done = 0

    def post(user_id, day, *kinds, value=None):
        nonlocal n_done
        events = []
        for kind in kinds:
            n_done += 1
            at = NOON.replace(day=day).isoformat()
            events.append(
                {"event_id": f"e{n_done}", "user_id": user_id, "event": kind, "occurred_at": at, "value": value}
            )
        answer = client.post("/v1/events", json={"events": events}).json()
        assert {one["status"] for one in answer["results"]} == {"accepted"}

    return post


def by_day(report, name):
    return {one["day"]: one["values"][name] for one in report["days"] if one["values"][name]}


def test_active_users_by_day_week_and_month(kpis, did):
    did("u1", 10, "open")
    did("u1", 21, "open", "like")
    did("u2", 21, "impression")
    did("u2", 27, "read")
    report = kpis()
    assert by_day(report, "active_users") == {"2025-04-10": 1, "2025-04-21": 1, "2025-04-27": 1}
    weekly = by_day(report, "weekly_active_users")
    assert [weekly.get(f"2025-04-{day}") for day in (10, 16, 17, 21, 26, 27)] == [1, 1, None, 1, 1, 2]
    assert weekly["2025-05-01"] == 1
    assert by_day(report, "monthly_active_users")["2025-05-01"] == 2
    assert by_day(report, "new_users") == {"2025-04-10": 1, "2025-04-27": 1}


def test_use_time_engagement_clicks_and_conversion(kpis, did):
    did("u1", 21, "read", "read", value=90)
    did("u1", 21, "like", "collect", "impression", "impression", "click")
    did("u2", 21, "purchase", value=12.5)
    did("u2", 22, "publish")
    report = kpis()
    assert by_day(report, "use_minutes") == {"2025-04-21": 1.5}
    assert by_day(report, "engagement_rate") == {"2025-04-21": 1}
    assert by_day(report, "click_rate") == {"2025-04-21": 0.5}
    assert by_day(report, "conversion") == {"2025-04-21": 0.5}
    assert by_day(report, "spent") == {"2025-04-21": 12.5}
    assert by_day(report, "publishes") == {"2025-04-22": 1}


def test_cohorts_follow_users_by_the_week_they_came_in(kpis, did):
    did("u1", 14, "open")
    did("u2", 20, "open")
    did("u2", 21, "open")
    did("u1", 30, "open")
    did("u3", 21, "open")
    assert kpis()["cohorts"] == [
        {"week": "2025-04-14", "n_users": 2, "retention": [1, 0.5, 0.5]},
        {"week": "2025-04-21", "n_users": 1, "retention": [1, 0]},
    ]


def test_a_day_is_the_community_s(client, kpis):
    late = {"event_id": "e", "user_id": "u1", "event": "open", "occurred_at": "2025-04-20T16:30:00Z"}
    client.post("/v1/events", json={"events": [late]})
    assert by_day(kpis(), "active_users") == {"2025-04-21": 1}


def test_segments_are_those_of_now_and_are_counted_by_the_day(client, kpis, did):
    client.put("/v1/users/u1", json={"n_followers": 50_000})
    did("u1", 30, "open", "publish")
    did("u2", 30, "open")
    first, second = client.post("/v1/users:score", json={"user_ids": ["u1", "u2"]}).json()["results"]
    report = kpis(segment=f"tier:{first['tier']}")
    assert first["tier"] != second["tier"]
    assert by_day(report, "active_users") == {"2025-04-30": 1}
    (counted,) = report["counts"]
    assert (counted["day"], counted["counts"]["all"]) == ("2025-05-01", 2)
    assert counted["counts"][f"tier:{first['tier']}"] == 1


def test_flows_are_told_against_the_last_day_before_however_often_it_is_rolled_up(client, kpis, did, world):
    did("u1", 30, "open", "publish")
    did("u2", 30, "open")

    def moved():
        counts = kpis()["counts"][-1]["counts"]
        return {name: n for name, n in counts.items() if name.startswith("flow:tier")}

    assert moved() == {}
    world.clock.now += timedelta(days=1)
    client.put("/v1/users/u1", json={"n_followers": 50_000})
    for number in range(5):
        posted = {"event_id": f"p{number}", "user_id": "u1", "event": "publish", "occurred_at": "2025-05-01T05:00:00Z"}
        client.post("/v1/events", json={"events": [posted]})
    expected = {"flow:tier:active>head_creator": 1}
    assert moved() == expected
    world.clock.now += timedelta(hours=1)
    assert moved() == expected
    assert client.get("/v1/users/u1").json()["segment"]["tier"] == "head_creator"
    client.delete("/v1/users/u1")
    world.clock.now += timedelta(hours=1)
    assert moved() == {}


def test_notes_are_counted_by_quality_decision_and_flag(world, client, kpis):
    world.registry.release_quality()
    for note_id, body in (("bad", "微信微信微信微信"), ("good", "今天去公园散步")):
        client.put(f"/v1/notes/{note_id}", json={"title": "", "body": body})

    async def score():
        return [one async for one in score_notes(world.settings, clock=world.clock)]

    asyncio.run(score())
    counts = kpis()["counts"][0]["counts"]
    assert (counts["notes"], counts["flagged:spam"], counts["decision:review"]) == (2, 1, 1)
    assert sum(n for name, n in counts.items() if name.startswith("quality:")) == 2


def test_users_are_counted_by_their_churn_probability(client, kpis, did):
    for day in range(20, 30):
        did("u1", day, "open")
    client.put("/v1/users/never_active", json={"n_followers": 3})
    scored, cold = client.post("/v1/users:score", json={"user_ids": ["u1", "never_active"]}).json()["results"]
    tenth = int(scored["churn"][-1]["probability"] * 10)
    assert cold["status"] == "cold_start"
    counts = kpis()["counts"][0]["counts"]
    assert {name: n for name, n in counts.items() if name.startswith("churn:")} == {f"churn:{tenth}": 1}


def test_an_erased_user_is_in_no_day_of_the_next_rollup(client, kpis, did, world):
    did("u1", 21, "open")
    did("u2", 21, "open")
    assert by_day(kpis(), "active_users") == {"2025-04-21": 2}
    client.delete("/v1/users/u1")
    world.clock.now += timedelta(hours=1)
    assert by_day(kpis(), "active_users") == {"2025-04-21": 1}


def test_every_value_is_defined_and_nothing_is_there_before_the_first_rollup(client, kpis, did):
    before = client.get("/v1/kpis").json()
    assert (before["as_of"], before["days"], before["cohorts"]) == (None, [], [])
    did("u1", 21, "open")
    report = kpis()
    assert report["as_of"] == "2025-05-01T12:00:00Z"
    assert set(report["days"][0]["values"]) == set(report["definitions"])


@pytest.mark.parametrize("query", [{"segment": "tier:king"}, {"since": "2020-01-01T00:00:00Z"}])
def test_what_can_t_be_answered_is_refused(client, query):
    assert client.get("/v1/kpis", params=query).status_code == 422


def test_one_server_rolls_up_at_a_time(client, did):
    did("u1", 21, "open")
    rolling = client.app.state.services.kpis
    client.portal.call(rolling.follow)
    did("u2", 21, "open")
    client.portal.call(rolling.follow)
    assert by_day(client.get("/v1/kpis").json(), "active_users") == {"2025-04-21": 1}

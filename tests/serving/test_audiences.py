"""Whom lists leave out: an audience is who may be contacted. Over HTTP, on each pair of stores meant for production."""

import csv
import io
from datetime import timedelta
from urllib.parse import unquote

import pytest

from serving.store.assignments import Arm
from serving.store.kpis import UserSegment
from serving.store.scores import NewScore, ScoreRun

RUN = ScoreRun(as_of=1_746_000_000_000_000, version="7", digest="d" * 64, thresholds={7: 0.6, 30: 0.4})


@pytest.fixture
def client(world, stores):
    world.registry.release()
    with world.open(**stores, action_holdout_share=0.1, action_control_share=0.2) as client:
        yield client


@pytest.fixture
def put_scores(client):
    """Keeps scores of users at the longest horizon, as ``score-all`` does."""

    def put(**probabilities):
        new = [NewScore(one, "scored", RUN.as_of - 1, [0.1, p]) for one, p in probabilities.items()]
        client.portal.call(client.app.state.services.lists._scores.put_many, RUN, new)

    return put


@pytest.fixture
def drawn(client):
    """Names that are in an arm of the newcomers' guide, by arm."""
    arm = client.app.state.services.assigning.arm
    return {one: [f"u{n}" for n in range(200) if arm(f"u{n}", "newcomer_guide") is one] for one in Arm}


def listed(client, **asked):
    answer = client.get("/v1/users", params=asked)
    assert answer.status_code == 200, answer.text
    return {one["user_id"]: one["withheld"] for one in answer.json()["results"]}


def rows(answer):
    assert answer.content.startswith(b"\xef\xbb\xbf")
    return list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"), newline="")))


def test_a_list_is_of_those_at_risk_and_everyone_only_where_asked_for(client, drawn, put_scores):
    low, high, mid = drawn[Arm.TREATMENT][:3]
    put_scores(**{low: 0.39, high: 0.9, mid: 0.4})
    assert [*listed(client)] == [high, mid]
    assert [*listed(client, at_risk=False)] == [high, mid, low]
    assert [*listed(client, min_probability=0.1)] == [high, mid, low]
    assert [*listed(client, min_probability=0.1, at_risk=True)] == [high, mid]
    assert [one["user_id"] for one in rows(client.get("/v1/users.csv"))] == [high, mid]


def test_who_may_not_be_contacted_is_left_out_and_why_is_said_where_asked_for(client, drawn, put_scores):
    held_out = drawn[Arm.HOLDOUT][0]
    anyone, off, minor, both = drawn[Arm.TREATMENT][:4]
    flags = {
        off: {"personalisation_opt_out": True},
        minor: {"is_minor": True},
        both: {"personalisation_opt_out": True, "is_minor": True},
    }
    for user_id, profile in flags.items():
        client.put(f"/v1/users/{user_id}", json=profile)
        client.put(f"/v1/users/{user_id}", json={"n_followers": 1})
    put_scores(**dict.fromkeys([anyone, held_out, off, minor, both], 0.8))
    assert listed(client) == {anyone: []}
    everyone = {anyone: [], held_out: ["holdout"], off: ["opted_out"], minor: ["minor"], both: ["opted_out", "minor"]}
    assert listed(client, with_withheld=True) == everyone
    assert [one["user_id"] for one in rows(client.get("/v1/users.csv"))] == [anyone]
    exported = rows(client.get("/v1/users.csv", params={"with_withheld": True}))
    assert {one["user_id"]: one["withheld"].split() for one in exported} == everyone


def test_within_the_cooldown_of_an_action_its_users_and_its_controls_are_left_out(client, drawn, put_scores, world):
    treated, control = drawn[Arm.TREATMENT][0], drawn[Arm.CONTROL][0]
    other = drawn[Arm.TREATMENT][1]
    for user_id in (treated, control):
        client.put(f"/v1/users/{user_id}", json={"registered_at": "2025-04-30T00:00:00Z"})
    made = client.post("/v1/actions:assign", json={"batch_id": "b", "user_ids": [treated, control]}).json()["results"]
    assert [one["assignment"]["action"] for one in made] == ["newcomer_guide"] * 2
    put_scores(**{treated: 0.7, control: 0.8, other: 0.9})
    assert [*listed(client)] == [other]
    assert listed(client, with_withheld=True) == {other: [], control: ["control"], treated: ["cooldown"]}
    world.clock.now += timedelta(days=400)
    assert [*listed(client)] == [other, control, treated]


def test_users_of_a_tier_or_a_stage_are_listed_by_risk(client, drawn, put_scores):
    koc, calm_koc, creator = drawn[Arm.TREATMENT][:3]
    put_scores(**{koc: 0.7, calm_koc: 0.1, creator: 0.9})
    members = [(koc, "koc", "loyal"), (calm_koc, "koc", "loyal"), (creator, "head_creator", "advocate")]
    client.portal.call(client.app.state.services.kpis._store.move, 20_000, [UserSegment(*one) for one in members])
    assert [*listed(client, tier="koc", at_risk=False)] == [koc, calm_koc]
    assert [*listed(client, tier="koc")] == [koc]
    assert [*listed(client, stage="advocate")] == [creator]
    assert [*listed(client, tier="koc", stage="advocate")] == []


def test_a_file_is_named_by_the_communitys_date_and_has_local_times_and_short_numbers(client, drawn, put_scores, world):
    user_id = drawn[Arm.TREATMENT][0]
    put_scores(**{user_id: 2 / 3})
    world.clock.now = world.clock.now.replace(hour=17)  # the next day in China
    answer = client.get("/v1/users.csv")
    name = answer.headers["content-disposition"].partition("filename*=UTF-8''")[2]
    assert unquote(name) == "流失名单_2025-05-02.csv"
    [row] = rows(answer)
    assert (row["probability"], row["threshold"]) == ("0.6667", "0.4000")
    assert (row["last_active_at"], row["as_of"]) == ("2025-04-30 15:59:59", "2025-04-30 16:00:00")
    assert "d" * 64 not in answer.text


def test_pages_of_an_audience_go_on_to_the_end_of_the_list(client, drawn, put_scores):
    put_scores(**{f"u{n}": 0.5 + n / 1_000 for n in range(200)})
    found, cursor = [], None
    while True:
        page = client.get("/v1/users", params={"limit": 30} | ({"cursor": cursor} if cursor else {})).json()
        found += [one["user_id"] for one in page["results"]]
        if not (cursor := page["next_cursor"]):
            break
    assert sorted(found) == sorted([*drawn[Arm.TREATMENT], *drawn[Arm.CONTROL]])

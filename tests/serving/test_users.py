"""PUT /v1/users/{user_id} and POST /v1/users:score over HTTP."""

import asyncio
from datetime import datetime

import pytest

from features.state import UserState
from serving.instants import to_us
from serving.policies.live import shipped_policy
from serving.routers.users import results_of


def test_an_answer_says_which_model_as_of_when_and_for_whom(score, send, event, world):
    send(event("u1", days=10))
    answer = score("u1")
    assert answer.pop("took_ms") > 0
    assert len(answer.pop("request_id")) == 16
    digest = answer["model"].pop("digest")
    assert (world.settings.bundles / "churn" / digest).is_dir()
    [user] = answer.pop("results")
    assert answer.pop("policy")["tier_rules"].keys() == {user["tier_rule"]}
    assert answer == {
        "degraded": [],
        "model": {"name": "churn", "version": "1", "alias": "champion"},
        "policy_version": shipped_policy().version,
        "features_as_of": "2025-05-01T12:00:00Z",
    }
    assert (user["user_id"], user["status"], user["reasons"]) == ("u1", "scored", [])
    # sigmoid(0.2), sigmoid(-0.3), sigmoid(-0.8) against thresholds 0.6, 0.5, 0.4
    assert user["churn"] == [
        {"horizon_days": 7, "probability": pytest.approx(0.549834, abs=1e-6), "threshold": 0.6, "at_risk": False},
        {"horizon_days": 14, "probability": pytest.approx(0.425557, abs=1e-6), "threshold": 0.5, "at_risk": False},
        {"horizon_days": 30, "probability": pytest.approx(0.310026, abs=1e-6), "threshold": 0.4, "at_risk": False},
    ]


def test_results_keep_the_order_of_the_request_duplicates_included(score, send, event):
    send(event("b", days=3), event("a", days=5))
    results = score("b", "nobody", "a", "b")["results"]
    assert [one["user_id"] for one in results] == ["b", "nobody", "a", "b"]
    assert results[0] == results[3] != results[2]


def test_a_user_never_seen_is_a_cold_start(score):
    [user] = score("nobody")["results"]
    assert (user["status"], user["churn"], user["reasons"][0]["code"]) == ("cold_start", [], "no_activity")
    assert user["reasons"][0]["zh"]
    assert user["reasons"][0]["en"]


def test_impressions_alone_leave_a_cold_start(score, send, event):
    send(event("u1", event="impression"))
    assert score("u1")["results"][0]["status"] == "cold_start"


def test_a_user_not_active_within_active_days_is_inactive(score, send, event):
    send(event("there", days=60), event("gone", days=60, hours=1))
    there, gone = score("there", "gone")["results"]
    assert (there["status"], gone["status"]) == ("scored", "inactive")
    assert (gone["churn"], gone["reasons"][0]["code"]) == ([], "inactive")


def test_a_user_at_risk_is_named_so(score, send, event):
    send(event("u1", days=55))  # sigmoid(1.1) = 0.750
    assert [one["at_risk"] for one in score("u1")["results"][0]["churn"]] == [True, True, True]


def test_horizons_can_be_chosen_and_come_in_the_models_order(score, send, event):
    send(event("u1"))
    answer = score("u1", horizons=[30, 7])
    assert [one["horizon_days"] for one in answer["results"][0]["churn"]] == [7, 30]


def test_a_horizon_the_model_lacks_is_refused_naming_those_it_has(client):
    answer = client.post("/v1/users:score", json={"user_ids": ["u1"], "horizons": [7, 8]})
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert (error["pointer"], error["code"]) == ("/horizons", "unknown_horizon")
    assert "7, 14, 30" in error["detail"]


@pytest.mark.parametrize("as_of", ["2025-05-01T12:05:01Z", "1969-12-31T00:00:00Z"])
def test_as_of_lies_between_1970_and_five_minutes_from_now(client, as_of):
    answer = client.post("/v1/users:score", json={"user_ids": ["u1"], "as_of": as_of})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/as_of")


def test_one_user_alone_gets_what_they_get_in_a_crowd(score, send, event):
    ids = [f"u{n}" for n in range(1000)]
    send(*(event(user_id, days=1 + n % 70, value=n) for n, user_id in enumerate(ids)))
    crowd = score(*ids)["results"]
    assert [one["user_id"] for one in crowd] == ids
    assert [score(ids[n])["results"][0] for n in (0, 7, 69, 999)] == [crowd[n] for n in (0, 7, 69, 999)]


def test_many_users_at_a_past_instant_are_refolded(score, send, event):
    ids = [f"u{n}" for n in range(100)]
    send(*(event(user_id, days=days) for user_id in ids for days in (5, 15)))
    results = score(*ids, as_of="2025-04-20T12:00:00Z")["results"]  # only the older event: 4 days before
    assert [one["churn"][0]["probability"] for one in results] == [pytest.approx(0.519989, abs=1e-6)] * 100


def test_the_last_profile_put_sets_the_registration(client, send, event):
    def registered_at():
        stored = client.portal.call(client.app.state.services.states.get_many, ["u1"])["u1"]
        return UserState.decode(stored.encoded).registered_at

    for text in ("2024-01-01T00:00:00+08:00", "2023-06-01T00:00:00Z"):
        assert client.put("/v1/users/u1", json={"registered_at": text, "n_followers": 3}).status_code == 200
        send(event("u1"))
    assert registered_at() == to_us(datetime.fromisoformat("2023-06-01T00:00:00Z"))
    client.put("/v1/users/u1", json={"is_minor": True})
    assert registered_at() == UserState().registered_at


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"registered_at": "2025-05-02T00:00:00Z"}, "/registered_at"),
        ({"registered_at": "1969-01-01T00:00:00Z"}, "/registered_at"),
        ({"n_followers": -1}, "/n_followers"),
        ({"n_followers": 1.5}, "/n_followers"),
        ({"is_minor": "no"}, "/is_minor"),
        ({"phone": "1"}, ""),
    ],
)
def test_a_bad_profile_is_pointed_at(client, body, pointer):
    answer = client.put("/v1/users/u1", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


@pytest.mark.parametrize(
    "body", [{"user_ids": []}, {"user_ids": ["u"] * 1001}, {"user_ids": ["u" * 129]}, {"user_ids": "u"}]
)
def test_a_request_has_1_to_1000_ids_of_1_to_128_characters(client, body):
    assert client.post("/v1/users:score", json=body).status_code == 422


def test_without_a_model_scoring_says_when_to_try_again_and_the_rest_works(world, event):
    with world.open() as client:
        answer = client.post("/v1/users:score", json={"user_ids": ["u1"]})
        assert (answer.status_code, answer.json()["code"]) == (503, "no_model")
        assert int(answer.headers["retry-after"]) > 0
        assert client.post("/v1/events", json={"events": [event()]}).json()["results"][0]["status"] == "accepted"


def test_many_requests_at_once_each_get_their_own_users_score(client, score, send, event):
    ids = [f"u{n}" for n in range(60)]
    send(*(event(user_id, days=1 + n % 70, value=n) for n, user_id in enumerate(ids[:50])))
    alone = [score(user_id)["results"] for user_id in ids]

    async def at_once():
        scoring = client.app.state.services.churn
        return await asyncio.gather(*(scoring.score([one], as_of=None, horizon_days=None) for one in ids))

    answers = [results_of(one) for one in client.portal.call(at_once)]
    assert [[one.model_dump() for one in answer] for answer in answers] == alone

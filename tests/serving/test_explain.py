"""POST /v1/users:score with explain, over HTTP and a really trained model."""

import subprocess
import sys
from pathlib import Path

import pytest

from serving.churn import MAX_EXPLAINED


@pytest.fixture
def client(world, tiny_release):
    """A running app whose champion was trained and exported as always."""
    world.registry.point(tiny_release(world.settings.bundles / "churn").digest)
    with world.open() as client:
        yield client


def test_reasons_add_up_to_the_raw_score_of_the_longest_horizon(score, send, event):
    send(*(event("u1", days=days, event="collect") for days in (2, 9, 40)))
    answer = score("u1", explain=True)
    [user] = answer["results"]
    assert answer["degraded"] == []
    assert user["explained"]["horizon_days"] == 30
    contributions = [one["contribution"] for one in user["reasons"]]
    assert contributions == sorted(contributions, key=abs, reverse=True)
    assert user["explained"]["raw_score"] == pytest.approx(user["explained"]["base"] + sum(contributions), abs=1e-9)
    collects = next(one for one in user["reasons"] if one["code"] == "kind_collect")
    assert collects["values"] == {"n_collect": 3.0, "days_since_last_collect": 2.0}
    assert collects["zh"].startswith("近两年收藏 3 次，最近一次在 2 天前：")
    assert collects["en"].startswith("3 collects in the last two years, the latest 2 days ago: ")


def test_calibration_and_the_shorter_horizon_come_after_the_raw_score(score, send, event):
    send(event("u1", days=3), event("u1", days=30))
    chances = []
    for horizon in (7, 30):
        [user] = score("u1", explain=True, horizons=[horizon])["results"]
        assert user["explained"]["horizon_days"] == horizon
        z = 1.3 * user["explained"]["raw_score"] - 0.2 + 0.1  # slope, intercept and drift of the tiny model
        chances.append(1 / (1 + 2.718281828459045**-z))
    [user] = score("u1")["results"]
    expected = [chances[0], min(chances)]
    assert [one["probability"] for one in user["churn"]] == pytest.approx(expected, abs=1e-6)


def test_only_scored_users_get_the_models_reasons(score, send, event):
    send(event("gone", days=70), event("u1"))
    nobody, gone, active = score("nobody", "gone", "u1", explain=True)["results"]
    assert [[one["code"] for one in user["reasons"]] for user in (nobody, gone)] == [["no_activity"], ["inactive"]]
    assert nobody["explained"] is gone["explained"] is None
    assert {"recency", "frequency"} <= {one["code"] for one in active["reasons"]}


def test_one_user_alone_is_explained_as_in_a_crowd(score, send, event):
    ids = [f"u{n}" for n in range(MAX_EXPLAINED)]
    send(*(event(user_id, days=1 + n % 50, value=n) for n, user_id in enumerate(ids)))
    crowd = score(*ids, explain=True)["results"]
    assert [score(ids[n], explain=True)["results"][0] for n in (0, 49, 99)] == [crowd[n] for n in (0, 49, 99)]


def test_a_past_instant_is_explained_by_what_was_known_then(score, send, event):
    send(event("u1", days=1), event("u1", days=12))
    [user] = score("u1", explain=True, as_of="2025-04-20T12:00:00Z")["results"]
    recency = next(one for one in user["reasons"] if one["code"] == "recency")
    assert recency["values"] == {"community_days_since_last_activity": 1.0}


def test_more_users_than_the_limit_are_refused_naming_it(client):
    body = {"user_ids": [f"u{n}" for n in range(MAX_EXPLAINED + 1)], "explain": True}
    answer = client.post("/v1/users:score", json=body)
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert (error["pointer"], error["code"]) == ("/user_ids", "too_many_to_explain")
    assert "100" in error["detail"]


def test_scores_come_without_reasons_where_nobody_asked(score, send, event):
    send(event("u1"))
    [user] = score("u1")["results"]
    assert (user["reasons"], user["explained"]) == ([], None)


def test_without_lightgbm_the_scores_still_come(score, send, event, monkeypatch):
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    send(event("u1"))
    answer = score("u1", explain=True)
    assert answer["degraded"] == ["explain"]
    assert answer["results"] == score("u1")["results"]


def test_a_model_released_without_explanations_still_scores(client, score, send, event, world):
    world.registry.release()  # made before bundles held their parts
    client.portal.call(client.app.state.services.slots.follow)
    send(event("u1"))
    answer = score("u1", explain=True)
    assert (answer["degraded"], answer["results"][0]["reasons"]) == (["explain"], [])


def test_serving_loads_lightgbm_only_when_it_explains():
    code = "import sys, serving.app; print('lightgbm' in sys.modules)"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_while_too_many_wait_the_scores_still_come(client, score, send, event, monkeypatch):
    send(event("u1"))
    monkeypatch.setattr("serving.workers.MAX_SLOW", 0)
    assert score("u1", explain=True)["degraded"] == ["explain"]

"""What the server tells about itself: logs, metrics, health."""

import asyncio
import io
import json
import logging
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from serving.background import repeated
from serving.logs import Lines, configure_logging

SECRETS = {
    "user_id": "planted-secret-user",
    "event_id": "planted-secret-event",
    "note_id": "planted-secret-note",
    "target_user_id": "planted-secret-target",
    "session_id": "planted-secret-session",
    "recommendation_id": "planted-secret-recommendation",
    "event": "planted-secret-kind",
}


@pytest.fixture
def log_lines():
    """Gives the server's JSON log lines so far; the logging of the process is put back afterwards."""
    root, stream = logging.getLogger(), io.StringIO()
    before, level = root.handlers[:], root.level
    configure_logging("DEBUG", stream)
    yield lambda: [one for one in map(json.loads, stream.getvalue().splitlines()) if one["name"] != "httpx2"]
    root.handlers[:] = before
    root.setLevel(level)


def test_every_request_is_one_json_line_by_its_routes_template(log_lines, client):
    client.put("/v1/users/u1", json={}, headers={"X-Request-ID": "req-1"})
    client.get("/nothing/here?q=planted-secret")
    requests = [one for one in log_lines() if one["message"] == "request"]
    assert requests[0].pop("took_ms") > 0
    assert requests[0].pop("at").startswith("20")
    assert requests[0] == {"level": "INFO", "name": "serving.requests", "message": "request", "method": "PUT",
                           "route": "/v1/users/{user_id}", "status": 200, "request_id": "req-1"}  # fmt: skip
    assert (requests[1]["route"], requests[1]["status"]) == ("unmatched", 404)


def test_a_line_holds_what_was_passed_with_it_whatever_its_type_and_where_an_error_came_from(log_lines):
    log = logging.getLogger("anywhere")
    log.warning("n=%d 明鉴", 3, extra={"path": Path("/x"), "n": 1.5})
    try:
        raise KeyError("k")
    except KeyError:
        log.exception("broken")
    plain, broken = log_lines()
    assert datetime.fromisoformat(plain.pop("at")).utcoffset() == timedelta(0)
    assert plain == {"level": "WARNING", "name": "anywhere", "message": "n=3 明鉴", "path": "/x", "n": 1.5}
    assert (broken["level"], broken["exc_info"].splitlines()[-1]) == ("ERROR", "KeyError: 'k'")


def test_lines_of_one_turn_of_the_loop_go_out_together_and_others_at_once():
    class Noting(io.StringIO):
        def flush(self):
            flushed.append(self.getvalue().count("\n"))

    flushed, stream = [], Noting()
    log = logging.getLogger("lines")
    log.propagate, log.handlers = False, [Lines(stream)]

    async def turns():
        for n_lines in (3, 2):
            for _ in range(n_lines):
                log.warning("line")
            await asyncio.sleep(0)

    log.warning("before")
    asyncio.run(turns())
    log.warning("after")
    assert flushed == [1, 4, 6, 7]


def test_no_id_and_no_content_is_ever_logged_or_counted(log_lines, client, event):
    bad = {"user_ids": ["planted-secret-user"], "horizons": [8], "planted-secret-property": "planted-secret-content"}
    for _ in range(2):
        client.post("/v1/events", json={"events": [event(**SECRETS), event(**SECRETS, value="planted-secret-value")]})
        client.post("/v1/events", json={"events": [event(**SECRETS), event(**SECRETS)]})
        client.put("/v1/users/planted-secret-user?planted-secret-query=1", json={"n_followers": 7})
        client.put("/v1/users/planted-secret-user", json={"n_followers": "planted-secret-number"})
        client.post(
            "/v1/users:score", json={"user_ids": ["planted-secret-user"]}, headers={"X-API-Key": "planted-secret-key"}
        )
        client.post("/v1/users:score", json=bad)
        client.get("/planted-secret-path")
    lines = log_lines()
    assert len([one for one in lines if one["message"] == "request"]) == 14
    assert "secret" not in json.dumps(lines)
    assert "secret" not in client.get("/metrics").text


def test_metrics_count_requests_scores_events_and_slots(client, send, score, event):
    send(event("a"), event("a", event_id="x"), event("a", event_id="x"), event(occurred_at="2030-01-01T00:00:00Z"))
    score("a", "b")
    client.get("/nothing")
    client.request("BREW", "/livez")
    lines = client.get("/metrics").text.splitlines()
    for line in (
        'mingjian_requests_total{method="POST",route="/v1/users:score",status="200"} 1.0',
        'mingjian_requests_total{method="GET",route="unmatched",status="404"} 1.0',
        'mingjian_requests_total{method="other",route="/livez",status="405"} 1.0',
        'mingjian_request_seconds_count{method="POST",route="/v1/events"} 1.0',
        'mingjian_request_seconds_count{method="POST",route="/v1/users:score"} 1.0',
        'mingjian_model_request_seconds_count{model="churn",version="1"} 1.0',
        'mingjian_scores_total{model="churn",status="scored",version="1"} 1.0',
        'mingjian_scores_total{model="churn",status="cold_start",version="1"} 1.0',
        'mingjian_ingest_events_total{result="accepted"} 2.0',
        'mingjian_ingest_events_total{result="duplicate"} 1.0',
        'mingjian_ingest_events_total{result="rejected"} 1.0',
        'mingjian_slot_live{model="churn",role="champion"} 1.0',
        'mingjian_slot_live{model="churn",role="challenger"} 0.0',
    ):
        assert line in lines, line


def test_background_work_goes_on_after_a_failure(log_lines):
    rounds = []

    async def step():
        rounds.append(1)
        if len(rounds) == 1:
            raise KeyError("secret")

    async def run():
        async with repeated(step, every_s=0.001):
            while len(rounds) < 3:
                await asyncio.sleep(0.001)

    asyncio.run(run())
    [line] = [one for one in log_lines() if one["message"] == "background work failed"]
    assert line["error"] == "KeyError"
    assert "secret" not in json.dumps(line)


def test_two_apps_count_apart(world):
    with world.open() as first:
        first.get("/nothing")
    with world.open() as second:
        assert "unmatched" not in second.get("/metrics").text


def test_a_client_that_goes_away_is_no_failure(log_lines, client):
    path = "/v2/models/churn/infer"
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": [], "http_version": "1.1"}
    sent = []

    async def receive():
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    client.portal.call(client.app, scope, receive, send)
    assert sent == []
    about_requests = [one for one in log_lines() if one["name"] == "serving.requests"]
    assert [(one["message"], one["status"]) for one in about_requests] == [("request", 499)]


def test_live_and_ready(client):
    assert client.get("/livez").status_code == 200
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["checks"]) == (200, {"stores": "ok", "churn": "ok"})


def test_ready_and_degraded_while_background_work_fails(client, world, eventually):
    def rename(before, after):
        with closing(sqlite3.connect(world.settings.database)) as database:
            database.execute(f"ALTER TABLE {before} RENAME TO {after}")

    def ready():
        answer = client.get("/readyz")
        assert answer.status_code == 200
        return answer.json()["degraded"], answer.json()["troubles"]

    assert ready() == ([], {})
    rename("policy_changes", "away")
    eventually(lambda: ready() == (["policies"], {"policies": "failing"}))
    failures = 'mingjian_background_failures_total{job="policies"}'
    assert f"{failures} 0.0" not in client.get("/metrics").text
    rename("away", "policy_changes")
    eventually(lambda: ready() == ([], {}))


def test_ready_and_degraded_while_a_release_is_refused(client, world, eventually):
    world.registry.point("0" * 64, "challenger")
    eventually(lambda: client.get("/readyz").json()["troubles"] == {"churn.challenger": "release_refused"})
    assert client.get("/readyz").status_code == 200


def test_not_ready_without_a_champion(world):
    with world.open() as client:
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["checks"]) == (503, {"stores": "ok", "churn": "no_model"})
        assert int(answer.headers["retry-after"]) > 0
        assert client.get("/livez").status_code == 200


def test_not_ready_without_the_store(client):
    client.app.state.services.states._file._here.close()
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["checks"]["stores"]) == (503, "unreachable")


def test_not_ready_when_the_champion_answers_nonsense(client, monkeypatch):
    scorer = next(client.app.state.services.slots.live()).scorer
    monkeypatch.setattr(
        scorer.runner, "run", lambda inputs: {"churn_probability": inputs["features"][:, :3] * float("nan")}
    )
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["checks"]["churn"]) == (503, "failed")


def test_what_is_folded_while_it_is_measured_counts_at_most_as_not_yet_folded(client, monkeypatch):
    services = client.app.state.services
    read = []

    def noting(name, method):
        async def noted():
            read.append(name)
            return await method()

        return noted

    monkeypatch.setattr(services.journal, "last_seq", noting("end", services.journal.last_seq))
    monkeypatch.setattr(services.states, "watermark", noting("watermark", services.states.watermark))
    client.get("/readyz")
    assert read == ["watermark", "end"]

"""Errors: every one is problem+json, says enough to act on, and echoes nothing."""

import json

import pytest

from serving.errors import StoreError
from serving.folding import Folder

SECRET = "planted-secret-4711"
KEYS = {"type", "title", "status", "code", "detail", "request_id", "errors"}
JSON = {"content-type": "application/json"}


def require_problem(answer, status, code):
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    problem = answer.json()
    assert problem.keys() == KEYS
    assert (problem["status"], problem["code"], problem["type"]) == (status, code, f"/problems/{code}")
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["title"]
    assert SECRET not in answer.text
    return problem


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "code"),
    [
        ("GET", f"/{SECRET}", None, 404, "not_found"),
        ("DELETE", "/v1/events", None, 405, "method_not_allowed"),
        ("POST", "/v1/events", b'{"events": "' + SECRET.encode(), 422, "invalid"),
        ("POST", "/v1/events", b"\xff\xfe" + SECRET.encode(), 400, "bad_request"),
        ("POST", "/v1/events", b"[" * 100_000, 400, "bad_request"),
        ("POST", "/v1/events", b"", 422, "invalid"),
        ("POST", "/v1/events", b"null", 422, "invalid"),
        ("POST", "/v1/events", json.dumps({"events": SECRET}).encode(), 422, "invalid"),
        ("POST", "/v1/events", json.dumps({SECRET: 1, "events": []}).encode(), 422, "invalid"),
        (
            "POST",
            "/v1/events",
            json.dumps({"events": [{"event_id": SECRET, "occurred_at": SECRET}]}).encode(),
            422,
            "invalid",
        ),
        ("POST", "/v1/users:score", b'{"user_ids": ["u"], "horizons": [' + b"9" * 5000 + b"]}", 400, "bad_request"),
        ("POST", "/v1/users:score", b'{"user_ids": ["u"], "horizons": [NaN]}', 422, "invalid"),
        ("POST", "/v1/users:score", b'{"user_ids": ["\\ud800"]}', 422, "invalid"),
        ("POST", "/v1/users:score", b'{"user_ids": ["u"], "as_of": "9999-12-31T23:59:59-14:00"}', 422, "invalid"),
        ("PUT", f"/v1/users/{SECRET}%00", b"{}", 422, "invalid"),
        ("PUT", f"/v1/users/{SECRET * 8}", b"{}", 422, "invalid"),
        ("PUT", "/v1/users/u1", json.dumps({"n_followers": SECRET}).encode(), 422, "invalid"),
    ],
)
def test_what_can_not_be_met_is_a_problem(client, method, path, content, status, code):
    require_problem(client.request(method, path, content=content, headers=JSON), status, code)


@pytest.mark.parametrize("value", [b"NaN", b"Infinity", b"-Infinity", b"1e999"])
def test_values_that_are_no_numbers_are_refused(client, event, value):
    body = json.dumps({"events": [event(value=12345)]}).encode().replace(b"12345", value)
    problem = require_problem(client.post("/v1/events", content=body, headers=JSON), 422, "invalid")
    assert [(one["pointer"], one["code"]) for one in problem["errors"]] == [("/events/0/value", "finite_number")]


def test_only_the_first_of_many_errors_are_listed(client):
    answer = client.post("/v1/events", json={"events": [{}] * 500})
    problem = require_problem(answer, 422, "invalid")
    assert len(problem["errors"]) == 20
    assert problem["detail"].endswith("2000")


def test_a_declared_body_above_the_limit_is_refused(client):
    require_problem(client.post("/v1/events", content=b"x" * (1 << 20) + b"x", headers=JSON), 413, "body_too_large")


def test_a_chunked_body_above_the_limit_is_refused(client):
    def chunks():
        for _ in range(20):
            yield b" " * 65_536

    answer = client.post("/v1/events", content=chunks(), headers=JSON)
    assert "content-length" not in answer.request.headers
    require_problem(answer, 413, "body_too_large")


def test_a_body_up_to_the_limit_is_read(client, event):
    body = json.dumps({"events": [event()]}).encode().ljust(1 << 20)
    assert client.post("/v1/events", content=body, headers=JSON).status_code == 200


class FailingStates:
    """A state store that fails in a chosen way."""

    def __init__(self, error):
        self.error = error

    async def get_many(self, user_ids):
        raise self.error


def fail_with(client, error):
    services = client.app.state.services
    services.churn._folder = Folder(services.journal, FailingStates(error), None)


def test_a_store_out_of_reach_says_when_to_try_again(client):
    fail_with(client, StoreError("the database can't be read"))
    answer = client.post("/v1/users:score", json={"user_ids": ["u1"]})
    require_problem(answer, 503, "store_unavailable")
    assert int(answer.headers["retry-after"]) > 0


def test_an_unforeseen_error_is_a_500_that_tells_nothing_and_is_logged_without_its_text(client, caplog):
    fail_with(client, KeyError(SECRET))
    require_problem(client.post("/v1/users:score", json={"user_ids": ["u1"]}), 500, "internal")
    [record] = [one for one in caplog.records if one.msg == "request failed"]
    assert record.error == "KeyError"
    assert any("folding.py" in frame for frame in record.frames)
    assert SECRET not in str(record.__dict__)


@pytest.mark.parametrize(
    ("sent", "kept"), [("abc-DEF_1.2", True), ("a" * 64, True), ("a" * 65, False), ("a b", False), ("", False)]
)
def test_a_sane_request_id_is_kept_and_any_other_replaced(client, sent, kept):
    answer = client.get("/livez", headers={"X-Request-ID": sent})
    assert (answer.json()["request_id"] == sent) == kept
    assert answer.headers["x-request-id"] == answer.json()["request_id"]


def test_every_operation_says_that_it_may_answer_with_a_problem(client):
    operations = [one for path in client.app.openapi()["paths"].values() for one in path.values()]
    assert all("default" in one["responses"] for one in operations)


def test_a_method_that_a_path_lacks_is_answered_with_all_it_has(client):
    answer = client.post("/v1/users/u1", json={})
    require_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "DELETE, GET, HEAD, PUT"

"""What no store can keep is the caller's mistake on each pair of stores: a 4xx, and nothing of it is tried again."""

import json

import pytest

from serving.cursor import write_cursor

CUT, NUL = "a\ud83db", "a\x00b"
LEASE = {"reviewer": "lin", "lease": "0" * 32, "revision": 1, "outcome": "overturn", "reason": "sound"}
LATE, EARLY = "9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+14:00"


@pytest.fixture(scope="module")
def client(store_pair, make_world, tmp_path_factory):
    world = make_world(tmp_path_factory.mktemp("content"), **store_pair)
    world.registry.release()
    world.registry.release_recommender()
    with world.open() as client:
        yield client


def status(client, method, path, body):
    return client.request(
        method, path, content=json.dumps(body), headers={"content-type": "application/json"}
    ).status_code


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/v1/notes/n", {"body": CUT}),
        ("PUT", "/v1/notes/n", {"body": "x", "title": CUT}),
        ("PUT", "/v1/notes/n", {"body": "x", "published_at": LATE}),
        ("PUT", "/v1/users/u", {"registered_at": EARLY}),
        ("POST", "/v1/notes:score", {"notes": [{"body": CUT}]}),
        ("POST", "/v1/recommendations", {"user_id": "u", "as_of": LATE}),
        ("POST", "/v1/recommendations", {"user_id": "u", "session_token": CUT}),
        ("POST", "/v1/appeals", {"note_id": "n", "author_id": "u", "text": NUL}),
        ("POST", f"/v1/reviews/{'0' * 24}/decide", LEASE | {"text": CUT}),
        ("POST", f"/v1/reviews/{'0' * 24}/decide", LEASE | {"text": NUL}),
        ("POST", f"/v1/reviews/{'0' * 24}/decide", LEASE | {"labels": {CUT: True}}),
        ("POST", f"/v1/reviews/{'0' * 24}/decide", LEASE | {"revision": 10**30}),
        ("POST", "/v1/policies", {"content": NUL, "why": "x"}),
        ("POST", "/v1/policies:rollback", {"why": NUL}),
        ("POST", "/v1/policies:rollback", {"why": CUT}),
    ],
)
def test_it_is_refused_in_bodies(client, method, path, body):
    assert status(client, method, path, body) == 422


@pytest.mark.parametrize(
    "query", ["label=a%00b", "cursor=a%00b", f"since={LATE}", "author_id=%00", "limit=" + "9" * 400]
)
def test_it_is_refused_in_queries(client, query):
    assert client.get(f"/v1/notes?{query}").status_code == 422


@pytest.mark.parametrize("place", [(), ([],), (1, 2), ("x",), (1e300,), (10**30,), (None,), (-1,)])
def test_a_cursor_with_the_content_of_another_is_refused(client, place):
    answer = client.get("/v1/policy-changes", params={"cursor": write_cursor((), place)})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "bad_cursor")


@pytest.mark.parametrize("field", ["name", "password"])
def test_it_is_refused_in_forms_of_the_console(client, field):
    form = {"name": "lin", "password": "x"} | {field: NUL}
    assert client.post("/console/sign-in", data=form, follow_redirects=False).status_code == 422

"""One id, one spelling: what a body may name, a path names too, and nothing else."""

from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

GOOD = ["a/b", "a%2Fb", "%", "%00", "a;b=c", "a?b#c", "//", "bob/interests/home", "x/erase", "find"]
GOOD += ["a/../b", "...", ".a b", "AC/DC", "中文/标签", "e\u0301", "é", "u:score", "a&b=+c"]
BAD = ["", ".", "..", " a", "a ", "a\u3000", "a\nb", "a\x00b", "a\x7fb", "a\x85b", "a\u2028b", "x" * 129]
ENTRY = {"event": "open", "occurred_at": "2025-05-01T00:00:00Z"}


@pytest.fixture(scope="module")
def client(store_pair, make_world, tmp_path_factory):
    """A client of one app for all, on each pair of stores."""
    world = make_world(tmp_path_factory.mktemp("ids"), **store_pair)
    world.registry.release()
    with world.open() as client:
        yield client


def path(*parts):
    return "/".join(["/v1", *(quote(one, safe="") for one in parts)])


@pytest.mark.parametrize("user_id", GOOD)
def test_what_an_event_names_a_path_names(client, user_id):
    entry = {"event_id": f"e-{user_id}", "user_id": user_id, "note_id": user_id, **ENTRY}
    sent = client.post("/v1/events", json={"events": [entry]})
    assert [one["status"] for one in sent.json()["results"]] == ["accepted"]
    assert client.get(path("users", user_id)).json()["user_id"] == user_id
    assert client.put(path("users", user_id), json={"n_followers": 3}).json()["user_id"] == user_id
    assert client.put(path("notes", user_id), json={"body": "x", "topics": [user_id]}).json()["note_id"] == user_id
    assert client.get(path("notes", user_id)).json()["topics"] == [user_id]
    assert client.get(path("users", user_id, "interests")).json()["user_id"] == user_id
    assert client.delete(path("users", user_id, "interests", user_id)).json()["tag"] == user_id
    assert client.get(path("users", user_id)).json()["deleted_interests"] == [user_id]
    assert client.delete(path("notes", user_id)).json()["existed"] is True


@pytest.mark.parametrize("bad", BAD)
def test_what_no_path_can_hold_is_refused_everywhere(client, bad):
    answers = [
        client.post("/v1/users:score", json={"user_ids": [bad, "u"]}),
        client.post("/v1/actions:assign", json={"batch_id": bad, "user_ids": ["u"]}),
        client.post("/v1/recommendations", json={"user_id": bad}),
        client.put("/v1/notes/n", json={"body": "x", "topics": [bad]}),
        client.put("/v1/notes/n", json={"body": "x", "author_id": bad}),
        client.post("/v1/appeals", json={"note_id": bad, "author_id": "u", "text": "x"}),
    ]
    assert {one.status_code for one in answers if one.json().get("results") is None} == {422}
    if bad not in {"", ".", ".."}:  # the client takes these out of the path by itself
        for method, body in (("PUT", {}), ("GET", None), ("DELETE", None)):
            assert client.request(method, path("users", bad), json=body).status_code == 422


@pytest.mark.parametrize("raw", ["%ff", "%C0%AF", "%ED%A0%80", "a%", "a%2", "a%zz", "%u0041"])
def test_a_path_or_query_that_is_no_text_is_a_400(client, raw):
    for method in ("GET", "PUT", "DELETE"):
        answer = client.request(method, f"/v1/users/{raw}", json={})
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


def test_a_query_that_is_no_utf8_is_a_400(client):
    assert client.get("/v1/notes?category=%ff").status_code == 400
    assert client.get("/v1/notes?category=%E6%97%85").status_code == 200


@pytest.mark.parametrize("raw", ["a%2fb", "a%2Fb"])
def test_an_escape_means_the_same_in_either_case(client, raw):
    assert client.put(f"/v1/users/{raw}", json={}).json()["user_id"] == "a/b"


@pytest.mark.parametrize("raw", ["/v1//users/bob", "//v1/users/bob", "/v1/users//bob", "/v1/users/bob//interests/home",
                                 "/v1%2Fusers/bob", "/v1/users%2Fbob", "/v1/users/bob%2Finterests/home/x"])  # fmt: skip
def test_slashes_divide_a_path_as_they_stand(client, raw):
    assert client.delete(raw, follow_redirects=False).status_code in {404, 405}


PARTS = ["bob", "home", "interests", "users", "erase", "/", "%2F", "%", ".", "..", "//", "%252F", ";", "?", "#"]
HOSTILE = st.lists(st.sampled_from(PARTS) | st.text(max_size=3), min_size=1, max_size=6).map("".join)


def profile(client, user_id):
    held = client.get(path("users", user_id)).json()
    return [held[name] for name in ("profile", "n_profiles", "deleted_interests")]


@hypothesis_settings(
    max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(user_id=HOSTILE, tag=HOSTILE)
def test_no_request_changes_anothers_data(client, user_id, tag):
    """Whatever is escaped as a path asks, it reaches the user who is named so, or nobody."""
    if user_id == "bob":
        return
    client.put("/v1/users/bob", json={"n_followers": 7})
    before = profile(client, "bob")
    for method, where, body in (
        ("PUT", path("users", user_id), {"n_followers": 1}),
        ("DELETE", path("users", user_id, "interests", tag), None),
        ("DELETE", path("users", user_id), None),
    ):
        answer = client.request(method, where, json=body, follow_redirects=False)
        assert answer.status_code < 500
        if answer.status_code == 200:
            assert answer.json()["user_id"] == user_id
    assert profile(client, "bob") == before

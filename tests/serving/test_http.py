"""What HTTP clients do without being asked: slashes, HEAD, compression, types, repeated parameters, spaces."""

import gzip
import json
import zlib

import pytest

from serving.security import Scope, hash_secret, new_key
from serving.store.keys import StoredKey

SCORE = json.dumps({"user_ids": ["u1"]}).encode()
JSON = {"content-type": "application/json"}


def packed(data: bytes) -> bytes:
    """The data in gzip's form, the same in every process: without the time."""
    return gzip.compress(data, mtime=0)


@pytest.fixture(scope="module")
def client(make_world, tmp_path_factory):
    """A client of one app for all."""
    world = make_world(tmp_path_factory.mktemp("http"))
    world.registry.release()
    with world.open() as client:
        yield client


def score(client, content=SCORE, **headers):
    return client.post("/v1/users:score", content=content, headers=headers)


@pytest.mark.parametrize("path", [
    "/v1/users:score/", "/v1/events/", "/v1/notes/", "/livez/", "/readyz/", "/metrics/", "/v2/", "/v2/health/live/",
    "/console/", "/console/static", "/docs/", "/openapi.json/", "//livez", "/v1//events",
])  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_slash_redirects(client, method, path):
    answer = client.request(method, path, content=SCORE, headers=JSON, follow_redirects=False)
    assert (answer.status_code, "location" in answer.headers) == (404, False)


@pytest.mark.parametrize("path", [
    "/livez", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready", "/openapi.json", "/v1/models", "/v1/users",
])  # fmt: skip
def test_head_is_get_without_a_body(client, path):
    got, headed = client.get(path), client.head(path)
    assert (headed.status_code, headed.content) == (got.status_code, b"")
    assert headed.headers["content-type"] == got.headers["content-type"]


def test_head_finds_nothing_where_get_does_not(client):
    assert client.head("/v1/nothing").status_code == 404
    answer = client.head("/v1/events")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_head_is_counted_as_such(client):
    client.head("/livez")
    assert 'mingjian_requests_total{method="HEAD",route="/livez",status="200"}' in client.get("/metrics").text


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_a_method_is_what_the_request_line_says(client, header):
    client.put("/v1/notes/n1", json={"body": "茶"})
    assert client.get("/v1/notes/n1", headers={header: "DELETE"}).status_code == 200
    assert client.post("/v1/notes/n1?_method=DELETE", headers={header: "DELETE"}).status_code == 405
    assert client.get("/v1/notes/n1").status_code == 200


def test_options_names_the_methods_and_lets_no_other_origin_in(client):
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = client.options("/v1/users:score", headers=asked)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert not any(name.startswith("access-control-") for name in answer.headers)


@pytest.mark.parametrize(("encoding", "body"), [
    ("gzip", packed(SCORE)), ("GZIP", packed(SCORE)), ("x-gzip", packed(SCORE)),
    ("deflate", zlib.compress(SCORE)), ("identity", SCORE), ("", SCORE),
])  # fmt: skip
def test_a_body_may_come_compressed(client, encoding, body):
    assert score(client, body, **JSON, **{"content-encoding": encoding}).status_code == 200


@pytest.mark.parametrize(("encoding", "body", "status", "code"), [
    ("br", SCORE, 415, "unsupported_media_type"),
    ("zstd", SCORE, 415, "unsupported_media_type"),
    ("gzip, gzip", packed(packed(SCORE)), 415, "unsupported_media_type"),
    ("gzip", SCORE, 400, "bad_request"),
    ("gzip", packed(SCORE)[:-1], 400, "bad_request"),
    ("gzip", packed(SCORE) + b"more", 400, "bad_request"),
    ("gzip", b"", 400, "bad_request"),
    ("gzip", packed(b" " * (1 << 20) + b" "), 413, "body_too_large"),
    ("gzip", packed(packed(b" " * 10_000_000)), 400, "bad_request"),
])  # fmt: skip
def test_a_compressed_body_that_is_not_what_it_says_or_too_large_is_refused(client, encoding, body, status, code):
    answer = score(client, body, **JSON, **{"content-encoding": encoding})
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_what_is_wrong_inside_a_compressed_body_is_said_as_of_a_plain_one(client):
    answer = score(client, packed(b'{"user_ids": [1]}'), **JSON, **{"content-encoding": "gzip"})
    assert [one["pointer"] for one in answer.json()["errors"]] == ["/user_ids/0"]


def test_a_large_answer_comes_compressed_where_that_is_accepted(client):
    body = json.dumps({"user_ids": [f"u{n}" for n in range(500)]}).encode()
    plain, small = score(client, body, **JSON, **{"accept-encoding": "identity"}), score(client, **JSON)
    packed = score(client, body, **JSON, **{"accept-encoding": "gzip"})
    assert [one.headers.get("content-encoding") for one in (plain, small, packed)] == [None, None, "gzip"]
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) / 5
    assert packed.json()["results"] == plain.json()["results"]


@pytest.mark.parametrize("content_type", [
    "application/json", "Application/JSON", "application/json; charset=utf-8", 'application/json;charset="UTF-8"',
    "application/vnd.community+json",
])  # fmt: skip
def test_a_json_body_is_read_by_its_type(client, content_type):
    assert score(client, **{"content-type": content_type}).status_code == 200


@pytest.mark.parametrize("content_type", [
    None, "", "text/plain", "text/json", "application/x-www-form-urlencoded", "application/json; charset=gbk",
    "application/json; charset=utf-16", "application/jsonp",
])  # fmt: skip
def test_a_body_of_another_type_or_of_none_is_refused_with_what_to_send(client, content_type):
    answer = score(client, **({} if content_type is None else {"content-type": content_type}))
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert "Content-Type: application/json" in answer.json()["detail"] or "UTF-8" in answer.json()["detail"]


@pytest.mark.parametrize(("body", "detail"), [
    (b"\xef\xbb\xbf" + SCORE, "a byte order mark stands before the JSON: leave it out"),
    (b'{"user_ids": ["u"], "user_ids": ["u"]}', "a property is named twice"),
    (b"{", "the body is not JSON"),
])  # fmt: skip
def test_what_keeps_a_body_from_being_json_is_said(client, body, detail):
    answer = score(client, body, **JSON)
    assert (answer.status_code, [one["detail"] for one in answer.json()["errors"]]) == (422, [detail])


@pytest.mark.parametrize(("path", "pointers"), [
    ("/v1/users?limit=1&limit=2", ["/query/limit"]),
    ("/v1/users?limit=1&limit=1", ["/query/limit"]),
    ("/v1/notes?sort=quality&order=asc&order=desc&sort=quality", ["/query/sort", "/query/order"]),
    ("/v1/users.csv?tier=koc&tier=active", ["/query/tier"]),
    ("/v1/kpis?since=2025-04-01&since=2025-04-02", ["/query/since"]),
])  # fmt: skip
def test_a_parameter_given_twice_is_named(client, path, pointers):
    answer = client.get(path)
    assert answer.status_code == 422
    assert [(one["pointer"], one["code"]) for one in answer.json()["errors"]] == [(one, "repeated") for one in pointers]


@pytest.fixture
def key(world):
    """A key that may score, of the client's own app."""
    with world.open(open_access=False) as client:
        made = new_key()
        keys = client.app.state.services.key_ring._keys
        stored = StoredKey(hash_secret(made), "test", frozenset([Scope.SCORE]), created_at=0)
        client.portal.call(keys.add, stored)
        yield client, made


@pytest.mark.parametrize("around", ["{}", " {}", "{} ", "\t{} "])
def test_spaces_around_a_key_are_no_part_of_it(key, around):
    client, made = key
    assert client.get("/v2", headers={"X-API-Key": around.format(made)}).status_code == 200


def test_two_keys_are_none(key):
    client, made = key
    assert client.get("/v2", headers=[("X-API-Key", made), ("X-API-Key", made)]).status_code == 401

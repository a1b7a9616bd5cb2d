"""Bodies made to break a reader: every one is refused as the caller's mistake, and nothing of it comes back."""

import json

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

SECRET = "planted-secret-4711"
JSON = {"content-type": "application/json"}
EVENT = {"event_id": SECRET, "user_id": "u", "event": "open", "occurred_at": "2025-05-01T00:00:00Z"}
ROUTES = {
    "/v1/events": {"events": [EVENT]},
    "/v1/users:score": {"user_ids": [SECRET]},
    "/v1/users/u1": {"n_followers": 1},
    "/v1/notes:score": {"notes": [{"note_id": SECRET}]},
    "/v1/notes/n1": {"body": SECRET},
    "/v2/models/churn/infer": {"inputs": [{"name": "features", "shape": [1, 1], "datatype": SECRET, "data": [1]}]},
}  # fmt: skip
"""Routes that read a body, each with one that it knows."""


@pytest.fixture(scope="module")
def client(make_world, tmp_path_factory):
    """A client of one app for all: nothing that is refused may leave it any different."""
    world = make_world(tmp_path_factory.mktemp("hostile"))
    world.registry.release()
    world.registry.release_quality()
    with world.open() as client:
        yield client


def send(client, path, content, **headers):
    method = "PUT" if path.startswith(("/v1/users/", "/v1/notes/")) else "POST"
    return client.request(method, path, content=content, headers=JSON | headers)


def require_refused(answer, path):
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text)
    if path.startswith("/v2"):
        assert (answer.headers["content-type"], list(answer.json())) == ("application/json", ["error"])
    else:
        assert answer.headers["content-type"] == "application/problem+json"
    assert SECRET not in answer.text


def nested(levels, opening, closing, middle=""):
    return (opening * levels + middle + closing * levels).encode()


HOSTILE = {
    "nothing": b"",
    "not utf-8": b'{"%s": "\xff\xfe\xc3"}' % SECRET.encode(),
    "utf-16": json.dumps({SECRET: 1}).encode("utf-16"),
    "half a body": b'{"events": [{"event_id": "' + SECRET.encode(),
    "10,000 arrays": nested(10_000, "[", "]"),
    "10,000 objects": nested(10_000, '{"events":', "}", "1"),
    "10,000 arrays in data": b'{"inputs": [{"name": "features", "shape": [1, 11], "datatype": "FP32", "data": '
    + nested(10_000, "[", "]", "1")
    + b"}]}",
    "400 arrays in data": b'{"inputs": [{"name": "features", "shape": [1, 11], "datatype": "FP32", "data": '
    + nested(400, "[", "]", "1")
    + b"}]}",
    "a number of 5,000 digits": b'{"events": ' + b"9" * 5_000 + b"}",
    "1e999": b'{"events": [1e999], "n_followers": 1e999, "user_ids": [-1e999]}',
    "NaN": b'{"events": NaN, "n_followers": NaN, "user_ids": NaN, "inputs": NaN}',
    "10 MB": b'{"' + SECRET.encode() + b'": "' + b"x" * 10_000_000 + b'"}',
    "a property twice": b'{"user_ids": ["u"], "user_ids": ["u"]}',
    "a property twice, deep down": b'{"events": [{"value": 1, "value": 1}], "n_followers": 1}',
    "a lone surrogate": b'{"events": "\\ud800", "user_ids": ["\\udfff"], "n_followers": "\\ud800", "id": "\\ud800"}',
    "NUL": b'{"events": [{"event_id": "\\u0000"}], "user_ids": ["a\\u0000b"], "\\u0000": 1}',
    "a bare NUL": b'{"user_ids": ["a\x00b"]}',
    "a byte order mark": b"\xef\xbb\xbf" + b'{"user_ids": ["u"]}',
    "text": json.dumps(SECRET).encode(),
    "two bodies": b"{}{}",
    "comments": b'{"n_followers": 1 /* one */}',
}  # fmt: skip


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_body_is_refused(client, path, body):
    require_refused(send(client, path, body), path)


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "multipart/form-data", "", "x" * 999])
def test_another_content_type_is_refused(client, path, content_type):
    body = json.dumps(ROUTES[path]).encode()
    require_refused(send(client, path, body, **{"content-type": content_type}), path)


@pytest.mark.parametrize("path", ROUTES)
def test_a_hostile_body_in_chunks_is_refused(client, path):
    for body in HOSTILE.values():
        chunks = (body[start : start + 100_000] for start in range(0, len(body) + 1, 100_000))
        require_refused(send(client, path, chunks), path)


def test_a_good_body_in_chunks_is_read(client):
    body = json.dumps(ROUTES["/v1/users:score"]).encode()
    assert send(client, "/v1/users:score", (body[n : n + 1] for n in range(len(body)))).status_code == 200


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just(SECRET),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(["a", "events", "user_ids", "inputs", "data", "shape"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@st.composite
def mutated(draw, body):
    """A known body with one value somewhere in it replaced."""
    made = json.loads(json.dumps(body))
    place = made
    while True:
        keys = sorted(place) if isinstance(place, dict) else range(len(place))
        key = draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or not place[key] or draw(st.booleans()):
            place[key] = draw(VALUES)
            return made
        place = place[key]


def fuzz(client, path, content):
    answer = send(client, path, content)
    assert answer.status_code == 200 or 400 <= answer.status_code < 500, answer.text
    if answer.status_code != 200:
        require_refused(answer, path)


FUZZING = hypothesis_settings(
    max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize("path", ROUTES)
@FUZZING
@given(data=st.data())
def test_bodies_with_a_wrong_value_somewhere_are_met_or_refused(client, path, data):
    fuzz(client, path, json.dumps(data.draw(mutated(ROUTES[path]))).encode())


@pytest.mark.parametrize("path", ROUTES)
@FUZZING
@given(data=st.data())
def test_bytes_in_the_place_of_json_are_refused(client, path, data):
    good = json.dumps(ROUTES[path]).encode()
    cut = data.draw(st.integers(0, len(good)))
    fuzz(client, path, good[:cut] + data.draw(st.binary(max_size=30)) + good[cut:])


@pytest.mark.slow
@pytest.mark.parametrize("path", ROUTES)
@hypothesis_settings(FUZZING, max_examples=2_000)
@given(data=st.data())
def test_bodies_with_a_wrong_value_somewhere_are_met_or_refused_however_many(client, path, data):
    fuzz(client, path, json.dumps(data.draw(mutated(ROUTES[path]))).encode())

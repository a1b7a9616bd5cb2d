"""Nothing that is sent is ever logged: marked text goes into everything, through every route, in good times and bad.

Every other test that plants a secret is watched too: see ``nothing_planted_is_logged``.
"""

import http.client
import json
import logging
import re
import socket
import sqlite3
from contextlib import closing

import pytest
from fastapi.routing import iter_route_contexts

from serving.app import create_app
from serving.settings import Settings

SECRET = "planted-secret-4711"
EVENT = {
    "event_id": f"{SECRET}-e",
    "user_id": SECRET,
    "event": SECRET,
    "occurred_at": "2025-05-01T00:00:00Z",
    "note_id": SECRET,
    "value": 4711.0815,
    "target_user_id": SECRET,
    "session_id": SECRET,
    "recommendation_id": SECRET,
}
ROW = {"name": "features", "shape": [1, 11], "datatype": "FP32", "data": [4711.0815] * 11}
BODIES = [
    {"events": [EVENT, EVENT | {"value": 1}, EVENT | {"occurred_at": "2999-01-01T00:00:00Z"}]},
    {"user_ids": [SECRET]},
    {"user_ids": [SECRET], "as_of": "2025-05-01T00:00:00Z", "explain": True},
    {"user_ids": [SECRET], "horizons": [4711]},
    {"n_followers": 4711, "is_minor": True},
    {"title": SECRET, "body": SECRET, "author_id": "u", "category": SECRET, "topics": [SECRET]},
    {"notes": [{"note_id": SECRET}, {"title": SECRET, "body": f"加微信 {SECRET}"}], "explain": True},
    {"id": SECRET, "inputs": [ROW]},
    {"id": SECRET, "inputs": [ROW | {"datatype": SECRET}]},
    {SECRET: SECRET},
    [SECRET],
    SECRET,
    None,
]
RAW = [json.dumps(one).encode() for one in BODIES] + [b'{"' + SECRET.encode(), SECRET.encode() + b"\xff", b""]
"""Good for one route, bad for the others."""


def routes():
    """Every method of every route, what erases last."""
    contexts = iter_route_contexts(create_app(Settings()).routes)
    found = {(method, one.path) for one in contexts for method in one.methods or ()}
    return sorted(found, key=lambda route: (route[0] == "DELETE", route))


def exercise(send):
    """Send every body through every route, with marked ids, query and headers; the statuses that came back."""
    statuses = set()
    for method, path in [
        *routes(),
        ("POST", f"/{SECRET}"),
        ("PATCH", "/v1/users/{user_id}"),
        (SECRET.upper(), "/livez"),
    ]:
        filled = re.sub(r"\{(user_id|note_id|version)\}", SECRET, path).replace("{model}", "churn")
        for body in RAW if method in ("POST", "PUT") else RAW[:1]:
            headers = {"content-type": "application/json", "cookie": SECRET, "user-agent": SECRET}
            statuses.add(send(method, f"{filled}?q={SECRET}", body, headers))
    return statuses


@pytest.mark.slow
def test_nothing_is_logged_of_what_an_app_is_sent(world, client, monkeypatch):
    world.registry.release_quality()
    client.portal.call(client.app.state.services.slots.follow)

    def send(method, path, body, headers):
        return client.request(method, path, content=body, headers=headers).status_code

    assert {200, 404, 405, 422} <= exercise(send)
    assert 410 in exercise(send)
    services = client.app.state.services
    services.states._file._here.close()
    assert 503 in exercise(send)

    def fail(*_):
        raise ValueError(SECRET, EVENT)

    for service in (services.ingest, services.churn, services.rights, services.notes, services.quality):
        for name in ("events", "profile", "score", "explain", "held", "erase", "put", "get", "delete"):
            if hasattr(service, name):
                monkeypatch.setattr(service, name, fail)
    assert 500 in exercise(send)
    assert SECRET not in client.get("/metrics").text


def test_the_watch_over_every_test_sees_what_is_logged(nothing_planted_is_logged):
    logging.getLogger("serving.anything").debug("x", extra={"user": SECRET})
    assert SECRET in nothing_planted_is_logged.getvalue()
    nothing_planted_is_logged.truncate(0)


@pytest.mark.slow
def test_nothing_is_logged_of_what_a_server_process_is_sent(serve, data_dir, monkeypatch):
    for name, value in {"OPEN_ACCESS": "true", "LOG_LEVEL": "DEBUG", "STORE_TIMEOUT_S": "0.2"}.items():
        monkeypatch.setenv(f"MINGJIAN_{name}", value)
    server = serve()

    def send(method, path, body, headers):
        with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
            connection.request(method, path, body, headers)
            return connection.getresponse().status

    assert {200, 404, 405, 422, 503} <= exercise(send)
    with closing(sqlite3.connect(data_dir / "mingjian.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # from here on nothing can be written
        assert 503 in exercise(send)
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as garbage:
        garbage.sendall(f"{SECRET} {SECRET}\r\n{SECRET}\r\n\r\n".encode())
        assert garbage.recv(100)
    assert server.stop() == 0
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    assert len(lines) > 200
    assert SECRET not in json.dumps(lines)

"""Keys: who may call what."""

import time
from datetime import timedelta
from operator import attrgetter
from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, Header
from fastapi.routing import APIRoute, iter_route_contexts

from models.policy.schema import read_policy
from serving.deps import Door, GuardedRoute, LiveSlots
from serving.policies.live import shipped_policy
from serving.schemas.users import Profile
from serving.security import Scope, hash_secret, new_key
from serving.store.keys import StoredKey

OPEN = {
    "/livez",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/docs",
    "/docs/static",
    "/v2/health/live",
    "/v2/health/ready",
}
NEEDS = {
    ("POST", "/v1/events"): {Scope.INGEST},
    ("PUT", "/v1/users/{user_id}"): {Scope.INGEST},
    ("GET", "/v1/users/{user_id}"): {Scope.PRIVACY},
    ("DELETE", "/v1/users/{user_id}"): {Scope.PRIVACY},
    ("POST", "/v1/users:score"): {Scope.SCORE},
    ("GET", "/v1/notes"): {Scope.SCORE, Scope.ADMIN},
    ("PUT", "/v1/notes/{note_id}"): {Scope.INGEST},
    ("GET", "/v1/notes/{note_id}"): {Scope.SCORE, Scope.ADMIN},
    ("DELETE", "/v1/notes/{note_id}"): {Scope.INGEST},
    ("POST", "/v1/notes:score"): {Scope.SCORE},
    ("POST", "/v1/recommendations"): {Scope.SCORE},
    ("GET", "/v1/notes/{note_id}/similar"): {Scope.SCORE},
    ("POST", "/v1/feedback"): {Scope.INGEST},
    ("GET", "/v1/reports/recommendations"): {Scope.SCORE, Scope.ADMIN},
    ("GET", "/v1/users/{user_id}/interests"): {Scope.PRIVACY},
    ("DELETE", "/v1/users/{user_id}/interests/{tag}"): {Scope.PRIVACY},
    ("GET", "/v1/users"): {Scope.SCORE, Scope.ADMIN},
    ("GET", "/v1/users.csv"): {Scope.SCORE, Scope.ADMIN},
    ("POST", "/v1/policies"): {Scope.ADMIN},
    ("GET", "/v1/policies"): {Scope.ADMIN},
    ("GET", "/v1/policies/{version}"): {Scope.ADMIN},
    ("POST", "/v1/policies:activate"): {Scope.ADMIN},
    ("POST", "/v1/policies:shadow"): {Scope.ADMIN},
    ("POST", "/v1/policies:rollback"): {Scope.ADMIN},
    ("GET", "/v1/policy-changes"): {Scope.ADMIN},
    ("GET", "/v1/audit"): {Scope.ADMIN},
    ("POST", "/v1/actions:assign"): {Scope.INGEST},
    ("GET", "/v1/kpis"): {Scope.SCORE, Scope.ADMIN},
    ("GET", "/v1/reports/uplift"): {Scope.SCORE, Scope.ADMIN},
    ("GET", "/v1/reviews"): {Scope.REVIEW},
    ("POST", "/v1/reviews:claim"): {Scope.REVIEW},
    ("GET", "/v1/reviews/{review_id}"): {Scope.REVIEW},
    ("GET", "/v1/reviews/{review_id}/changes"): {Scope.REVIEW},
    ("POST", "/v1/reviews/{review_id}/renew"): {Scope.REVIEW},
    ("POST", "/v1/reviews/{review_id}/release"): {Scope.REVIEW},
    ("POST", "/v1/reviews/{review_id}/decide"): {Scope.REVIEW},
    ("POST", "/v1/reviews/{review_id}/undo"): {Scope.REVIEW},
    ("POST", "/v1/appeals"): {Scope.INGEST},
    ("GET", "/v1/reports/reviews"): {Scope.REVIEW},
    ("GET", "/v1/models"): {Scope.SCORE, Scope.ADMIN},
    ("GET", "/v2"): {Scope.SCORE},
    ("GET", "/v2/models/{model}"): {Scope.SCORE},
    ("GET", "/v2/models/{model}/versions/{version}"): {Scope.SCORE},
    ("GET", "/v2/models/{model}/ready"): {Scope.SCORE},
    ("GET", "/v2/models/{model}/versions/{version}/ready"): {Scope.SCORE},
    ("POST", "/v2/models/{model}/infer"): {Scope.SCORE},
    ("POST", "/v2/models/{model}/versions/{version}/infer"): {Scope.SCORE},
}


@pytest.fixture
def client(world):
    with world.open(open_access=False) as client:
        yield client


@pytest.fixture
def add_key(client):
    """Adds a key in the running server's store, as ``create-key`` does beside it."""

    def add(*scopes, label="test", **fields):
        key = new_key()
        keys = client.app.state.services.key_ring._keys
        client.portal.call(keys.add, StoredKey(hash_secret(key), label, frozenset(scopes), created_at=0, **fields))
        return key

    return add


def routes(app):
    return [
        (method, one.path)
        for one in iter_route_contexts(app.routes)
        if one.path not in OPEN and not one.path.startswith("/console")  # pages ask for a session
        for method in sorted(one.methods - {"HEAD"})
    ]


ERASURE = "DELETE", "/v1/users/{user_id}"
APPEAL = {"note_id": "n1", "author_id": "ann", "text": "x"}
HELD = {"reviewer": "lin", "lease": "0" * 32}
POLICY = shipped_policy().content.replace('name = "default"', 'name = "mine"')


def call(client, method, path, key=None, body=None, review_id="0" * 24):
    headers = {"X-API-Key": key} if key else {}
    version = shipped_policy().version if "policies" in path else "1"
    filled = path.format(user_id="u1", note_id="n1", model="churn", version=version, tag="tea", review_id=review_id)
    return client.request(method, filled, json=body or {}, headers=headers)


def unlisted(app):
    """Routes that are neither open nor written down here, and those written down that are not there."""
    return set(routes(app)) ^ set(NEEDS)


def test_every_route_is_open_or_its_scopes_are_written_down_here(client):
    assert unlisted(client.app) == set()


def test_a_route_that_is_not_written_down_here_is_found(client):
    client.app.include_router(APIRouter(routes=[APIRoute("/v9/new", lambda: 1, methods=["POST"])]))
    assert unlisted(client.app) == {("POST", "/v9/new")}


def test_every_route_is_closed_without_a_key_in_force(client, add_key):
    revoked = add_key(*Scope, label="old")
    client.portal.call(client.app.state.services.key_ring._keys.revoke, "old", 1)
    for route in NEEDS:
        for key in (None, "mj_wrong", new_key(), revoked):
            answer = call(client, *route, key)
            assert answer.status_code == 401, route
            assert "/v2" in route[1] or answer.json()["code"] == "unauthenticated"
            assert answer.headers["www-authenticate"] == "APIKey"


@pytest.mark.parametrize("scope", Scope)
def test_a_scope_opens_its_routes_and_no_other(client, add_key, scope):
    key = add_key(scope)
    for route, scopes in NEEDS.items():
        answer = call(client, *route, key)
        if scope in scopes:
            assert answer.status_code not in (401, 403), (route, answer.text)
        else:
            assert answer.status_code == 403, (route, answer.text)


def test_with_the_right_key_and_a_good_body_every_route_answers(world, client, add_key):
    world.registry.release()
    world.registry.release_quality()
    world.registry.release_recommender()
    services = client.app.state.services
    client.portal.call(services.slots.follow)
    client.portal.call(services.reviewers.add, "lin", "reviewer", None)
    row = {"name": "features", "shape": [1, 11], "datatype": "FP32", "data": [1] * 11}
    event = {"event_id": "e", "user_id": "u1", "event": "open", "occurred_at": "2025-05-01T00:00:00Z"}
    bodies = {
        "/v1/events": {"events": [event]},
        "/v1/users:score": {"user_ids": ["u1"]},
        "/v1/notes:score": {"notes": [{"body": "x"}]},
        "/v1/notes/{note_id}": {"body": "x"},
        "/v1/policies": {"content": POLICY, "why": "x"},
        "/v1/policies:activate": {"version": read_policy(POLICY).version, "why": "x"},
        "/v1/policies:shadow": {"version": None, "why": "x"},
        "/v1/policies:rollback": {"why": "x"},
        "/v1/recommendations": {"user_id": "u1"},
        "/v1/actions:assign": {"batch_id": "b", "user_ids": ["u1"]},
        "/v1/reviews:claim": {"reviewer": "lin"},
        "/v1/reviews/{review_id}/decide": HELD | {"revision": 1, "outcome": "confirm", "reason": "sound"},
        "/v1/reviews/{review_id}/renew": HELD,
        "/v1/reviews/{review_id}/release": HELD,
        "/v1/reviews/{review_id}/undo": {"reviewer": "lin"},
        "/v1/appeals": APPEAL,
        "/v1/feedback": {"feedback": [{"kind": "click", "user_id": "u1", "note_id": "n1"}]},
    }
    ingest = {"X-API-Key": add_key(Scope.INGEST)}
    for note_id in ("n1", "n2"):
        client.put(f"/v1/notes/{note_id}", json={"body": "x", "author_id": "ann"}, headers=ingest)
    for follow in (services.catalogues.follow, services.reading.follow, services.catalogues.follow):
        client.portal.call(follow)
    opened = client.post("/v1/appeals", json=APPEAL | {"note_id": "n2"}, headers=ingest).json()["review"]["review_id"]
    for method, path in sorted(NEEDS, key=lambda route: (route == ERASURE, route[0] == "DELETE", route[0] != "POST")):
        body = {"inputs": [row]} if path.endswith("infer") else bodies.get(path, {})
        for scope in NEEDS[method, path]:
            answer = call(client, method, path, add_key(scope), body, review_id=opened)
            is_stale = method == "POST" and path.startswith(
                "/v1/reviews/{review_id}/"
            )  # nobody claimed it by this token
            assert answer.status_code == (409 if is_stale else 200), (method, path, answer.text)
            assert call(client, method, path, body=body).status_code == 401
    assert len(client.get("/metrics").content) <= 60_000  # a scrape stays small, whatever was asked


def test_nobody_learns_from_a_shut_door_what_is_wrong_with_a_body(client, add_key):
    keys = {scope: add_key(scope) for scope in Scope}
    for (method, path), scopes in NEEDS.items():
        other = keys[next(scope for scope in Scope if scope not in scopes)]
        for key, status in ((None, 401), (other, 403)):
            headers = {"content-type": "application/json"} | ({"X-API-Key": key} if key else {})
            for body in (b"{", b"[]", b"\xff", b"x" * (1 << 21)):
                assert client.request(method, path, content=body, headers=headers).status_code == status


def test_a_door_that_was_not_opened_before_stays_shut(client, add_key):
    router = APIRouter()
    router.add_api_route("/careless", lambda _: 1, dependencies=[Depends(Door(attrgetter("slots"), Scope.ADMIN))])
    client.app.include_router(router)
    assert client.get("/careless", headers={"X-API-Key": add_key(Scope.ADMIN)}).status_code == 500


@pytest.mark.parametrize("dependency", [Depends(lambda: None), Depends(Door(attrgetter("slots"), Scope.ADMIN))])
def test_a_guarded_route_with_a_dependency_that_is_no_named_door_is_a_mistake(dependency):
    router = APIRouter(route_class=GuardedRoute)
    with pytest.raises(TypeError, match="/careless"):
        router.add_api_route("/careless", lambda _: 1, dependencies=[dependency])


def test_a_guarded_route_reads_what_fastapi_would_and_refuses_as_it_does(client, add_key):
    router = APIRouter(route_class=GuardedRoute)
    asked = []

    @router.post("/limits/{name}")
    async def limits(
        slots: LiveSlots, name: str, body: Profile, n: int = 3, if_match: Annotated[int, Header()] = 4
    ) -> Profile:
        asked.append((slots, name, body.n_followers, n, if_match))
        return body

    client.app.router.routes.extend(router.routes)
    headers = {"X-API-Key": add_key(Scope.ADMIN), "content-type": "application/json; charset=utf-8"}
    slots = client.app.state.services.slots
    for path, more in (("/limits/a", {}), ("/limits/b?n=7", {"if-match": "9"})):
        answer = client.post(path, content=b'{"n_followers": 1}', headers=headers | more)
        assert (answer.status_code, answer.json()["n_followers"]) == (200, 1)
    assert asked == [(slots, "a", 1, 3, 4), (slots, "b", 1, 7, 9)]
    answer = client.post("/limits/a?n=x", content=b'{"n_followers": -1}', headers=headers | {"if-match": "y"})
    assert [one["pointer"] for one in answer.json()["errors"]] == ["/query/n", "/header/if-match", "/n_followers"]
    assert len(asked) == 2


def test_a_refused_caller_is_told_the_scope_and_nothing_of_the_request(client, add_key):
    answer = call(client, "POST", "/v1/events", add_key(Scope.SCORE))
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert "ingest" in answer.json()["detail"]


def test_a_revoked_key_stops_working_within_two_seconds(client, add_key):
    key = add_key(Scope.ADMIN, label="lost")
    assert call(client, "GET", "/v1/models", key).status_code == 200
    assert client.portal.call(client.app.state.services.key_ring._keys.revoke, "lost", 1) == 1
    time.sleep(1.1)
    assert call(client, "GET", "/v1/models", key).status_code == 401


def test_a_key_opens_nothing_from_its_end_on(client, add_key, world):
    key = add_key(Scope.ADMIN, expires_at=world.clock() + 1_000_000)
    assert call(client, "GET", "/v1/models", key).status_code == 200
    world.clock.now += timedelta(seconds=1)
    assert call(client, "GET", "/v1/models", key).status_code == 401


def test_rotation_lets_two_keys_of_a_label_live_side_by_side(client, add_key):
    for key in (add_key(Scope.ADMIN), add_key(Scope.ADMIN)):
        assert call(client, "GET", "/v1/models", key).status_code == 200


def test_keys_are_random_and_only_their_hash_is_kept(client, add_key, world):
    keys = {add_key(Scope.SCORE) for _ in range(20)}
    assert len(keys) == 20
    assert all(key.startswith("mj_") and len(key) > 40 for key in keys)
    for file in world.settings.data_dir.glob("mingjian.db*"):
        assert not any(key.encode() in file.read_bytes() for key in keys)


def test_the_openapi_document_names_the_key_and_the_problem_of_every_closed_route(client):
    document = client.get("/openapi.json").json()
    assert document["components"]["securitySchemes"]["key"]["name"] == "X-API-Key"
    for method, path in NEEDS:
        operation = document["paths"][path][method.lower()]
        assert operation["security"] == [{"key": []}]
        responses = operation["responses"]
        assert {"200", "401", "403", "503", "default"} <= responses.keys()
        assert ({"400", "413", "422"} <= responses.keys()) == ("requestBody" in operation)
        media_type = "application/json" if path.startswith("/v2") else "application/problem+json"
        assert {tuple(one["content"]) for status, one in responses.items() if status != "200"} == {(media_type,)}


def test_open_routes_need_no_key(client):
    for path in ("/livez", "/metrics", "/openapi.json"):
        assert client.get(path).status_code == 200

"""The OpenAPI document against a running server, from outside: what schemathesis finds, and that the examples run."""

import asyncio
import json

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from pydantic import PostgresDsn, RedisDsn, Secret

from serving.app import create_app
from serving.reviewers import Reviewers
from serving.security import Scope, hash_secret, new_key
from serving.settings import Settings
from serving.store.keys import StoredKey
from serving.store.reviewers import Role
from serving.store.stores import open_stores

DOCUMENT = create_app(Settings()).openapi()
REFUSALS = [400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 428, 429]
CHECKS = {"negative_data_rejection": {"expected-statuses": REFUSALS}}  # a text too long may make a body too large
SCHEMA = schemathesis.openapi.from_dict(
    json.loads(json.dumps(DOCUMENT)), config=schemathesis.Config.from_dict({"checks": CHECKS})
)
QUICKLY = settings(max_examples=5, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
THOROUGHLY = settings(QUICKLY, max_examples=50)
KEY = new_key()


async def add_people(settings):
    async with open_stores(settings) as stores:
        await Reviewers(stores.reviewers, clock=lambda: 0).add("lin", Role.REVIEWER, None)
        await stores.keys.add(StoredKey(hash_secret(KEY), "test", frozenset(Scope), created_at=0))


@pytest.fixture(scope="module")
def sqlite():
    return {}


@pytest.fixture(scope="module")
def postgres_and_redis(new_database, new_redis):
    with new_database() as url, new_redis() as server:
        yield {"journal_url": Secret(PostgresDsn(url)), "state_url": Secret(RedisDsn(server.url))}


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres_and_redis", marks=pytest.mark.slow)])
def address(request, make_world, listen, tmp_path_factory, eventually):
    """The URL of a running server with a champion and a challenger, closed to all but ``KEY``, on a pair of stores."""
    stores = request.getfixturevalue(request.param)
    world = make_world(tmp_path_factory.mktemp("contracts"), open_access=False, **stores)
    asyncio.run(add_people(world.settings))
    world.registry.release()
    world.registry.release(1.0, role="challenger")
    world.registry.release_quality()
    world.registry.release_recommender()
    with listen(world.app()) as place:
        address, headers = f"http://{place}", {"X-API-Key": KEY}
        requests.put(f"{address}/v1/notes/n-42", json={"body": "x", "author_id": "u-7"}, headers=headers, timeout=10)
        eventually(lambda: requests.get(f"{address}/v1/notes/n-42/similar", headers=headers, timeout=10).ok)
        yield address


HARD_TO_SAY = {
    "/v1/users:score": "an instant must have come, and horizons must be the model's",
    "/v1/notes:score": "a note has an id or a body, and few can be explained",
    "/v1/notes": "some parameters need a label, and a cursor must be of this list",
    "/v1/notes/{note_id}": "a note must be stored, and published in the past",
    "/v1/users": "a horizon must have been scored, and a cursor be one that was given",
    "/v1/users.csv": "a horizon must have been scored",
    "/v1/users/{user_id}": "a registration must have happened, and the user be known and not erased",
    "/v1/policies": "a policy must be a good one",
    "/v1/policies/{version}": "a policy must be stored",
    "/v1/policies:activate": "a policy must be stored",
    "/v1/policies:shadow": "a policy must be stored",
    "/v1/policies:rollback": "a policy must have been active before",
    "/v1/policy-changes": "a cursor must be one that was given",
    "/v1/recommendations": "a session token must be one that was given, and an instant have come",
    "/v1/notes/{note_id}/similar": "a note must be stored, or the model's",
    "/v1/feedback": "an exposure or a click names a note, a hide a note or an author",
    "/v1/kpis": "a segment must be one, and the stretch of time no longer than what is kept",
    "/v1/actions:assign": "a batch's id must not name other users",
    "/v1/audit": "a cursor must be one that was given",
    "/v1/reviews": "a cursor must be one that was given",
    "/v1/reviews:claim": "a reviewer must be known",
    "/v1/reviews/{review_id}": "a review must be there",
    "/v1/reviews/{review_id}/changes": "a review must have been there",
    "/v1/reviews/{review_id}/renew": "a reviewer must be known, and have the review",
    "/v1/reviews/{review_id}/release": "a reviewer must be known, and have the review",
    "/v1/reviews/{review_id}/decide": "a reviewer must be known, and have the review",
    "/v1/reviews/{review_id}/undo": "a reviewer must be known, and have just decided",
    "/v1/appeals": "a note must be stored, and its author object",
    "/v1/users/{user_id}/interests/{tag}": "the user must not be erased",
    "/v2/models/{model}/infer": "tensors must be the model's",
    "/v2/models/{model}/versions/{version}/infer": "tensors must be the model's",
}
"""Routes with rules that a schema can't express: they may refuse what it allows."""


EACH_FOR_ITSELF = {"/v1/events", "/v1/feedback", "/v1/users:score", "/v1/notes:score"}
"""Routes that refuse one entry of a list and meet the others."""


def example_of(schema):
    while "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema.get("example") or schema["examples"][0]


RUNNING = [(m, path) for path, ms in DOCUMENT["paths"].items() for m in ms if "{review_id}" not in path]
"""Routes whose examples need nothing that only a running server can give: a review has an id and a token of its own."""


@pytest.mark.parametrize(("method", "path"), RUNNING)
def test_the_documents_examples_run(address, method, path):
    operation = DOCUMENT["paths"][path][method]
    for parameter in operation.get("parameters", []):
        if parameter["required"]:
            path = path.replace(f"{{{parameter['name']}}}", example_of(parameter["schema"]))
    body = operation.get("requestBody")
    example = example_of(body["content"]["application/json"]["schema"]) if body else None
    answer = requests.request(method, address + path, json=example, headers={"X-API-Key": KEY}, timeout=10)
    assert answer.status_code == 200, answer.text


def has_nothing_to_send(case):
    """Whether a parameter that the schema does not know is an empty list or object: no URL can say it."""
    return any(value in ([], {}) for value in (case.query or {}).values())


def validate(case, address):
    excluded = [schemathesis.checks.positive_data_acceptance] if case.path in HARD_TO_SAY else []
    if has_nothing_to_send(case) or case.path in EACH_FOR_ITSELF:
        excluded.append(schemathesis.checks.negative_data_rejection)
    case.call_and_validate(base_url=address, headers={"X-API-Key": KEY}, excluded_checks=excluded)


@SCHEMA.parametrize()
@QUICKLY
def test_every_route_keeps_its_word(case, address):
    validate(case, address)


@pytest.mark.slow
@SCHEMA.parametrize()
@THOROUGHLY
def test_every_route_keeps_its_word_however_long_one_tries(case, address):
    validate(case, address)

"""The OpenAPI document against a running server, from outside: what schemathesis finds, and that the examples run."""

import asyncio
import json

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from pydantic import PostgresDsn, RedisDsn, Secret

from serving.app import create_app
from serving.security import Scope, hash_key, new_key
from serving.settings import Settings
from serving.store.keys import StoredKey
from serving.store.stores import open_stores

DOCUMENT = create_app(Settings()).openapi()
SCHEMA = schemathesis.openapi.from_dict(json.loads(json.dumps(DOCUMENT)))
QUICKLY = settings(max_examples=5, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
THOROUGHLY = settings(QUICKLY, max_examples=100)
KEY = new_key()


async def add_key(settings):
    async with open_stores(settings) as stores:
        await stores.keys.add(StoredKey(hash_key(KEY), "test", frozenset(Scope), created_at=0))


@pytest.fixture(scope="module")
def sqlite():
    return {}


@pytest.fixture(scope="module")
def postgres_and_redis(new_database, new_redis):
    with new_database() as url, new_redis() as server:
        yield {"journal_url": Secret(PostgresDsn(url)), "state_url": Secret(RedisDsn(server.url))}


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres_and_redis", marks=pytest.mark.slow)])
def address(request, make_world, listen, tmp_path_factory):
    """The URL of a running server with a champion and a challenger, closed to all but ``KEY``, on a pair of stores."""
    stores = request.getfixturevalue(request.param)
    world = make_world(tmp_path_factory.mktemp("contracts"), open_access=False, **stores)
    asyncio.run(add_key(world.settings))
    world.registry.release()
    world.registry.release(1.0, role="challenger")
    world.registry.release_quality()
    with listen(world.app()) as address:
        yield f"http://{address}"


HARD_TO_SAY = {
    "/v1/users:score": "an instant must have come, and horizons must be the model's",
    "/v1/notes:score": "a note has an id or a body, and few can be explained",
    "/v1/notes": "some parameters need a label, and a cursor must be of this list",
    "/v1/notes/{note_id}": "a note must be stored, and published in the past",
    "/v1/users": "a horizon must have been scored, and a cursor be one that was given",
    "/v1/users.csv": "a horizon must have been scored",
    "/v1/users/{user_id}": "a registration must have happened, and the user be known and not erased",
    "/v2/models/{model}/infer": "tensors must be the model's",
    "/v2/models/{model}/versions/{version}/infer": "tensors must be the model's",
}
"""Routes with rules that a schema can't express: they may refuse what it allows."""


def validate(case, address):
    excluded = [schemathesis.checks.positive_data_acceptance] if case.path in HARD_TO_SAY else []
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


def example_of(schema):
    while "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema.get("example") or schema["examples"][0]


@pytest.mark.parametrize(("method", "path"), [(m, path) for path, ms in DOCUMENT["paths"].items() for m in ms])
def test_the_documents_examples_run(address, method, path):
    operation = DOCUMENT["paths"][path][method]
    for parameter in operation.get("parameters", []):
        if parameter["required"]:
            path = path.replace(f"{{{parameter['name']}}}", example_of(parameter["schema"]))
    body = operation.get("requestBody")
    example = example_of(body["content"]["application/json"]["schema"]) if body else None
    answer = requests.request(method, address + path, json=example, headers={"X-API-Key": KEY}, timeout=10)
    assert answer.status_code == 200, answer.text

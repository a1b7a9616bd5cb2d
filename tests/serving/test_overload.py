"""More requests than may be under way: the rest are refused at once, and health is still answered."""

import asyncio
from typing import Any

import pytest
from httpx2 import ASGITransport, AsyncClient


@pytest.fixture
def ask_at_once(world):
    """Statuses, codes and Retry-After of scoring requests that come together while two may be under way."""

    async def ask(n: int) -> list[Any]:
        app = world.app()
        async with (
            app.router.lifespan_context(app),
            AsyncClient(transport=ASGITransport(app), base_url="http://test") as client,
        ):
            scores = [client.post("/v1/users:score", json={"user_ids": ["u1"]}) for _ in range(n)]
            answers = await asyncio.gather(*scores, client.get("/livez"), client.get("/readyz"))
            again = await client.post("/v1/users:score", json={"user_ids": ["u1"]})
            metrics = await client.get("/metrics")
            return [*answers, again, metrics]

    world.settings = world.settings.model_copy(update={"max_in_flight": 2})
    world.registry.release()
    return lambda n: asyncio.run(ask(n))


def test_what_is_above_the_limit_is_refused_with_a_time_to_try_again(ask_at_once):
    *scores, live, ready, again, metrics = ask_at_once(5)
    assert [one.status_code for one in scores] == [200, 200, 503, 503, 503]
    for refused in scores[2:]:
        assert refused.json()["code"] == "busy"
        assert refused.headers["content-type"] == "application/problem+json"
        assert int(refused.headers["retry-after"]) > 0
        assert refused.headers["x-request-id"] == refused.json()["request_id"]
    assert (live.status_code, ready.status_code) == (200, 200)
    assert again.status_code == 200
    assert "mingjian_in_flight_requests 1.0" in metrics.text
    assert "mingjian_overloads_total 3.0" in metrics.text


def test_a_request_that_fails_gives_its_place_back(world):
    settings = world.settings.model_copy(update={"max_in_flight": 1})
    world.settings = settings
    with world.open() as client:
        for _ in range(3):
            assert client.post("/v1/users:score", json={"user_ids": ["u1"]}).json()["code"] == "no_model"

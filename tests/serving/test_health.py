"""Health and metrics, asked for by many at once: what costs something is done once, and little is sent."""

import asyncio
import gzip

import pytest
from fastapi.testclient import TestClient
from httpx2 import ASGITransport, AsyncClient
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from serving.metrics import Metrics


@pytest.fixture
def store_trips_of(world):
    """How often the state store was asked while so many asked a path at once, and then once more."""

    async def ask(path, n):
        app = world.app(health_max_age_s=3600)
        async with (
            app.router.lifespan_context(app),
            AsyncClient(transport=ASGITransport(app), base_url="http://test") as client,
        ):
            registry = app.state.services.metrics.registry
            before = registry.get_sample_value("mingjian_store_seconds_count", {"store": "states"}) or 0
            answers = await asyncio.gather(*(client.get(path) for _ in range(n)))
            answers.append(await client.get(path))
            assert {one.status_code for one in answers} == {200}
            return registry.get_sample_value("mingjian_store_seconds_count", {"store": "states"}) - before

    world.registry.release()
    return lambda path, n: asyncio.run(ask(path, n))


@pytest.mark.parametrize("path", ["/readyz", "/metrics", "/v2/health/ready"])
def test_many_who_ask_share_one_look(store_trips_of, path):
    assert store_trips_of(path, 8) == 2  # how far the states are, and whether they can be put


def test_who_stops_waiting_for_a_shared_look_stops_nobody_else(world):
    async def ask():
        app = world.app(health_max_age_s=3600)
        async with app.router.lifespan_context(app):
            health = app.state.services.health
            gone, waiting = asyncio.ensure_future(health.checks()), asyncio.ensure_future(health.checks())
            await asyncio.sleep(0)
            gone.cancel()
            return await waiting

    world.registry.release()
    assert asyncio.run(ask()) == {"stores": "ok", "churn": "ok"}


def test_what_is_too_old_is_looked_at_again(world, client):
    assert client.get("/readyz").status_code == 200  # a world's health ages at once
    client.app.state.services.states._file._here.close()
    assert client.get("/readyz").status_code == 503


def test_metrics_come_compressed_to_who_accepts_it(client):
    plain = client.get("/metrics", headers={"accept-encoding": "identity"})
    refused = client.get("/metrics", headers={"accept-encoding": "gzip;q=0, br"})
    assert [one.headers.get("content-encoding") for one in (plain, refused)] == [None, None]
    with client.stream("GET", "/metrics", headers={"accept-encoding": "br, GZIP;q=0.5"}) as answer:
        assert answer.headers["content-encoding"] == "gzip"
        body = b"".join(answer.iter_raw())
    assert len(body) == int(answer.headers["content-length"])
    assert b"# TYPE mingjian_requests_total counter" in gzip.decompress(body)
    assert len(body) < len(plain.content) / 3


def test_the_page_says_what_prometheus_own_writer_would():
    metrics = Metrics()
    metrics.latency.observe([0.002, 7], "GET", 'a "quoted"\n\\route')
    metrics.feature_age.observe([61.5])
    metrics.requests.labels("GET", "/livez", 200).inc()

    def samples(page):
        return {(one.name, *sorted(one.labels.items())): one.value
                for family in text_string_to_metric_families(page.decode()) for one in family.samples
                if family.name.startswith("mingjian")}  # fmt: skip

    assert samples(metrics.page()) == samples(generate_latest(metrics.registry))


def test_no_series_says_when_another_was_made(client, score):
    score("a")
    assert "_created" not in client.get("/metrics").text


@pytest.fixture
def on_port(world):
    """Asks an app whose metrics have port 9100 of their own, on a port."""
    with TestClient(world.app(metrics_port=9100), base_url="http://test:8000") as client:
        yield lambda port, path: client.get(f"http://test:{port}{path}").status_code


@pytest.mark.parametrize(
    ("path", "status", "status_there"),
    [("/metrics", 404, 200), ("/livez", 200, 200), ("/v1/models", 200, 404), ("/console", 200, 404)],
)
def test_with_a_port_of_their_own_metrics_are_there_alone(on_port, path, status, status_there):
    assert (on_port(8000, path), on_port(9100, path)) == (status, status_there)

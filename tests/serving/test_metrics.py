"""What the metrics say of scores, events, stores and versions, in numbers worked out by hand."""

import asyncio

import pytest

from serving.metrics import Metrics
from serving.store.measured import measured

DAY_S = 86_400


@pytest.fixture
def value(client):
    """Gives a sample's value after a scrape."""
    registry = client.app.state.services.metrics.registry
    return lambda name, **labels: registry.get_sample_value(f"mingjian_{name}", labels)


def test_scores_are_distributed_by_version_and_horizon(send, score, event, value):
    send(event("a", days=10), event("b", days=30))  # sigmoid(0.2) = 0.550, sigmoid(0.6) = 0.646 within 7 days
    score("a", "b", "nobody")
    of_week = {"model": "churn", "version": "1", "horizon_days": "7"}
    assert [value("churn_probability_bucket", le=le, **of_week) for le in ("0.5", "0.6", "0.7")] == [0, 1, 2]
    assert value("churn_probability_count", **of_week) == 2
    assert value("churn_probability_sum", **of_week) == pytest.approx(0.549834 + 0.645656, abs=1e-5)


def test_the_age_of_features_counts_from_the_latest_event(send, score, event, value):
    send(event("a", days=10), event("a", days=2, event="impression"))
    score("a", "nobody")
    assert (value("feature_age_seconds_count"), value("feature_age_seconds_sum")) == (1, 2 * DAY_S)


def test_ingest_lag_is_of_stored_events(send, event, value):
    send(event(days=1), event(days=3), event(occurred_at="2030-01-01T00:00:00Z"))
    assert (value("ingest_lag_seconds_count"), value("ingest_lag_seconds_sum")) == (2, 4 * DAY_S)
    assert value("ingest_lag_seconds_bucket", le="86400.0") == 1
    again = event(days=1)
    for _ in range(2):
        send(again)
    assert (value("ingest_lag_seconds_count"), value("ingest_lag_seconds_sum")) == (3, 5 * DAY_S)


def test_batches_are_measured(send, score, event, value, client):
    send(event(), event())
    score("a", "b", "a")
    row = {"name": "features", "shape": [2, 11], "datatype": "FP32", "data": [1] * 22}
    assert client.post("/v2/models/churn/infer", json={"inputs": [row]}).status_code == 200
    assert [value("batch_size_sum", operation=name) for name in ("ingest", "score", "infer")] == [2, 2, 2]


def test_stores_are_timed_and_their_failures_counted_by_operation(score, value, client):
    score("a")
    assert value("store_failures_total", store="states", operation="get_many") is None
    client.app.state.services.states._file._here.close()
    client.post("/v1/users:score", json={"user_ids": ["a"]})
    assert value("store_failures_total", store="states", operation="get_many") == 1
    assert value("store_seconds_count", store="states") >= 2


def test_only_operations_are_timed():
    class Store:
        name = "x"

        async def get(self, key):
            return key

        async def _inner(self): ...

        def label(self):
            return self.name

    metrics = Metrics()
    store = measured(Store(), "test", metrics)
    assert asyncio.run(store.get(7)) == 7
    asyncio.run(store._inner())
    assert metrics.registry.get_sample_value("mingjian_store_seconds_count", {"store": "test"}) == 1
    assert store.label() == "x"


def test_what_a_version_counted_long_ago_is_forgotten(world, client, score, value):
    async def release(n):
        world.registry.release(n)
        await client.app.state.services.slots.follow()

    for n in range(1, 7):
        if n > 1:
            client.portal.call(release, n / 10)
        score("a")
    kept = [n for n in range(1, 7) if value("scores_total", model="churn", version=str(n), status="cold_start")]
    assert kept == [3, 4, 5, 6]  # the live one, and the last three before it
    in_slot = [n for n in range(1, 7) if value("slot_version", model="churn", role="champion", version=str(n))]
    assert in_slot == [6]
    assert value("model_request_seconds_count", model="churn", version="2") is None
    assert value("model_request_seconds_count", model="churn", version="6") == 1

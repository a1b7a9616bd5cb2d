"""What is broken in a store is left out, and all else is done: facts, notes, recommendations, sweeps."""

import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def change(world):
    """Changes the database behind the server's back."""

    def execute(statement):
        with closing(sqlite3.connect(world.settings.database, timeout=30)) as database, database:
            return database.execute(statement).fetchall()

    return execute


def failures(client, job):
    """How often a job, or an item of it, failed."""
    registry = client.app.state.services.metrics.registry
    return registry.get_sample_value("mingjian_background_failures_total", {"job": job})


def test_a_user_whose_facts_can_t_be_folded_keeps_back_no_other(world, event, change, eventually):
    world.registry.release()
    with world.open() as client:
        for user_id in ("bad", "good"):
            client.put(f"/v1/users/{user_id}", json={"n_followers": 1})
            client.post("/v1/events", json={"events": [event(user_id, days=10)]})
    change("UPDATE facts SET body = '{' WHERE type = 'profile' AND user_id = 'bad'")
    change("DELETE FROM user_states")
    change("UPDATE watermarks SET seq = 0 WHERE name = 'states'")
    with world.open(repair_s=0.02) as client:
        eventually(lambda: not client.get("/readyz").json()["troubles"])  # the first repair folded the rest
        answer = client.post("/v1/users:score", json={"user_ids": ["good", "bad"]})
        assert [one["status"] for one in answer.json()["results"]] == ["scored", "cold_start"]
        past = client.post("/v1/users:score", json={"user_ids": ["good", "bad"], "as_of": "2025-04-30T00:00:00Z"})
        assert [one["status"] for one in past.json()["results"]] == ["scored", "cold_start"]
        eventually(lambda: failures(client, "folding"))
        client.post("/v1/events", json={"events": [event("good", days=1)]})
        assert client.app.state.services.folder.is_level


def test_a_note_that_the_catalogue_can_t_take_in_keeps_back_no_other(world, change, eventually):
    world.registry.release_recommender(world.registry.release_reader())
    with world.open(required_models=frozenset()) as client:

        def known(*note_ids):
            catalogue = client.app.state.services.catalogues.live.catalogue
            return all(catalogue.number(note_id) is not None for note_id in note_ids)

        client.put("/v1/notes/first", json={"body": "周末爬山看日出"})
        eventually(lambda: change("SELECT count(*) FROM catalogue WHERE read_by IS NOT NULL") == [(1,)])
        next_no = "(SELECT max(change_no) + 1 FROM catalogue)"
        change(f"UPDATE catalogue SET vector = x'000102', change_no = {next_no}")
        change("UPDATE watermarks SET seq = seq + 1 WHERE name = 'catalogue'")
        client.put("/v1/notes/second", json={"body": "蛋白打发，烤箱一百五十度"})
        eventually(lambda: known("second"))
        eventually(lambda: failures(client, "catalogue") == 1)


def test_a_recommendation_that_the_log_refuses_keeps_back_no_other(world, change, eventually):
    world.registry.release_recommender()
    with world.open(required_models=frozenset()) as client:
        change(
            "CREATE TRIGGER refusing BEFORE INSERT ON recommendations WHEN NEW.note_id = 'coffee' "
            "BEGIN SELECT RAISE(ABORT, 'refused'); END"
        )
        shown = client.post("/v1/recommendations", json={"user_id": "u"}).json()["results"]
        note_ids = {one["note_id"] for one in shown}
        assert "coffee" in note_ids
        eventually(lambda: {one for (one,) in change("SELECT note_id FROM recommendations")} == note_ids - {"coffee"})
        eventually(lambda: failures(client, "recommendation_log") == 1)
        assert "mingjian_recommendations_dropped_total 1.0" in client.get("/metrics").text


def test_a_sweep_that_fails_keeps_no_other_from_its_turn(client, world, send, event, change):
    send(event("u1", days=1))
    change("ALTER TABLE recommendations RENAME TO away")
    world.clock.now += timedelta(days=4 * 365)
    services = client.app.state.services
    with pytest.raises(ExceptionGroup):
        client.portal.call(services.retention.sweep)
    assert change("SELECT count(*) FROM facts WHERE type = 'event'") == [(0,)]


def test_a_rollup_that_failed_is_seen_until_one_succeeds(world, change, eventually):
    with world.open(kpi_s=0.05) as client:
        change("ALTER TABLE kpi_days RENAME TO away")
        world.clock.now += timedelta(hours=2)
        eventually(lambda: "kpis" in client.get("/readyz").json()["troubles"])
        before = failures(client, "kpis")
        eventually(lambda: failures(client, "kpis") > before)
        change("ALTER TABLE away RENAME TO kpi_days")
        world.clock.now += timedelta(hours=2)
        eventually(lambda: "kpis" not in client.get("/readyz").json()["troubles"])

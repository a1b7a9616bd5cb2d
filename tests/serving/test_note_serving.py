"""The quality model beside the churn model: slots, readiness, the open protocol, and both kinds of score at once."""

import re
import threading
from datetime import timedelta

import pytest
from pydantic import PostgresDsn, Secret

from serving.workers import MAX_SLOW

TEXT = "这家小店藏在巷子里，手冲咖啡很香，靠窗的位置能看到老树。人均四十，适合一个人看书，周末人多要早到。"


@pytest.fixture
def both(world):
    """A client of an app with a champion of each."""
    world.registry.release()
    world.registry.release_quality()
    with world.open() as client:
        yield client


def score(client, *notes):
    return client.post("/v1/notes:score", json={"notes": notes})


def test_without_a_quality_model_only_scoring_notes_is_refused(client):
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()["checks"]) == (200, {"stores": "ok", "churn": "ok"})
    answer = score(client, {"body": "x"})
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "no_model", "5")
    assert client.put("/v1/notes/n1", json={"body": "x"}).status_code == 200


def test_a_required_model_that_is_not_released_keeps_the_server_from_being_ready(world):
    world.registry.release_quality()
    with world.open(required_models=frozenset(["churn", "quality"])) as client:
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["checks"]) == (
            503,
            {"stores": "ok", "churn": "no_model", "quality": "ok"},
        )
    with world.open(required_models=frozenset(["quality"])) as client:
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["checks"]) == (200, {"stores": "ok", "quality": "ok"})


def test_both_models_are_live_and_ready(both):
    assert both.get("/readyz").json()["checks"] == {"stores": "ok", "churn": "ok", "quality": "ok"}
    assert {one["name"] for one in both.get("/v1/models").json()["live"]} == {"churn", "quality"}


def test_a_new_quality_release_is_swapped_in(both, world, eventually):
    pointer = world.registry.release_quality(weight=0.0)
    eventually(lambda: score(both, {"body": "微信"}).json()["model"]["digest"] == pointer.digest)
    assert not any(one["flagged"] for one in score(both, {"body": "微信"}).json()["results"][0]["labels"])


def test_a_bundle_of_another_task_is_refused(both, world, eventually):
    digest = world.registry.bundle().digest
    (world.registry.folder / "quality" / digest).symlink_to(world.registry.folder / "churn" / digest)
    world.registry.point(digest, model="quality")
    eventually(lambda: both.get("/v1/models").json()["refused"])
    (refused,) = both.get("/v1/models").json()["refused"]
    assert (refused["name"], refused["reason"]) == ("quality", "the bundle's task is churn, expected quality")
    assert score(both, {"body": "微信"}).status_code == 200


def test_the_open_protocol_describes_the_quality_model_and_refuses_to_infer(both):
    described = both.get("/v2/models/quality").json()
    assert {"ngrams", "signals"} <= {one["name"] for one in described["inputs"]}
    assert both.get("/v2/models/quality/ready").json() == {"name": "quality", "ready": True}
    answer = both.post("/v2/models/quality/infer", json={"inputs": []})
    assert answer.status_code == 400
    assert "POST /v1/notes:score" in answer.json()["error"]


def test_notes_are_counted_by_outcome_and_version(both):
    both.put("/v1/notes/n1", json={"body": "今天加微信"})
    score(both, {"note_id": "n1"}, {"body": ""}, {"note_id": "n2"}, {"body": "字" * 20_001})
    text = both.get("/metrics").text
    counted = dict(re.findall(r'notes_scored_total{model="quality",outcome="(\w+)",version="2"} (\S+)', text))
    assert counted == {"review": "1.0", "no_text": "1.0", "unknown_note": "1.0", "too_long": "1.0"}
    assert 'mingjian_note_quality_count{model="quality",version="2"} 1.0' in text
    assert "mingjian_notes_waiting 0.0" in text


def test_while_the_notes_can_not_be_read_given_ones_are_scored_without_near_duplicates(both):
    both.app.state.services.quality._notes._database._there.close()
    answer = score(both, {"body": "今天加微信"}).json()
    assert answer["degraded"] == ["near_duplicates"]
    assert (answer["results"][0]["decision"], answer["results"][0]["near_duplicates"]) == ("review", None)


def test_more_notes_than_may_wait_are_refused_and_late_ones_are_named(world):
    world.registry.release_quality()
    notes = [{"note_id": f"n{n}", "body": "字" * 3_000} for n in range(100)]
    with world.open(max_notes_waiting=99) as client:
        answer = score(client, *notes)
        assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "busy", "1")
    with world.open(note_timeout_s=0.000_001) as client:
        assert (score(client, *notes).status_code, score(client, *notes).json()["code"]) == (503, "busy")
    with world.open(note_timeout_s=0.1) as client:
        answer = score(client, *notes)
        assert answer.status_code == 200
        statuses = [(one["status"], one.get("code")) for one in answer.json()["results"]]
        assert {*statuses} == {("scored", None), ("problem", "not_in_time")}


@pytest.mark.slow
def test_users_are_scored_while_notes_saturate_the_server(both):
    """Four callers ask for 200 notes after 200 notes: a user's score that waited behind what they ask would come after
    four of their answers.
    """
    stop, n_notes = threading.Event(), []

    def ask():
        while not stop.is_set():
            n_notes.append(len(score(both, *({"body": "今天天气很好，" * 100} for _ in range(200))).json()["results"]))

    askers = [threading.Thread(target=ask) for _ in range(4)]
    for one in askers:
        one.start()
    answers = [both.post("/v1/users:score", json={"user_ids": ["u1"]}) for _ in range(100)]
    during = len(n_notes)
    stop.set()
    for one in askers:
        one.join()
    assert {one.status_code for one in answers} == {200}
    assert during < 100


def near(client, body):
    (result,) = score(client, {"body": body}).json()["results"]
    return [one["note_id"] for one in result["near_duplicates"]]


def test_near_duplicates_survive_a_restart(world):
    world.registry.release_quality()
    with world.open() as client:
        client.put("/v1/notes/n1", json={"body": TEXT})
    with world.open() as client:
        assert near(client, TEXT) == ["n1"]


def test_servers_on_one_database_see_each_others_notes_at_once(world, postgres_url):
    world.registry.release_quality()
    url = Secret[PostgresDsn](PostgresDsn(postgres_url))
    folder = world.settings.data_dir
    beside = {"journal_url": url, "data_dir": folder / "beside", "bundles_dir": world.settings.bundles}
    with world.open(journal_url=url) as one, world.open(**beside) as two:
        one.put("/v1/notes/n1", json={"body": TEXT})
        assert near(two, TEXT) == ["n1"]
        two.delete("/v1/notes/n1")
        assert near(one, TEXT) == []


def test_a_note_goes_once_it_was_not_put_for_as_long_as_notes_are_kept(world):
    world.registry.release_quality()
    with world.open(retention_notes_days=10, near_duplicates_among=1) as client:
        for name in ("old", "put again", "new"):
            client.put(f"/v1/notes/{name}", json={"body": TEXT})
        world.clock.now += timedelta(days=9)
        client.put("/v1/notes/put again", json={"body": TEXT, "title": "改"})
        world.clock.now += timedelta(days=2)
        client.put("/v1/notes/newest", json={"body": TEXT})
        client.portal.call(client.app.state.services.notes.sweep)
        statuses = [client.get(f"/v1/notes/{name}").status_code for name in ("old", "put again", "new", "newest")]
        assert statuses == [404, 200, 404, 200]
        assert near(client, TEXT) == ["newest"]
        assert "mingjian_notes_stored 2.0" in client.get("/metrics").text


def test_what_the_model_found_is_explained_unless_too_much_is(both):
    workers = both.app.state.services.workers
    hold = threading.Event()
    for _ in range(MAX_SLOW):
        both.portal.start_task_soon(workers.run_slow, hold.wait, 10)
    try:
        note = {"notes": [{"body": "今天加微信"}], "explain": True}
        answer = both.post("/v1/notes:score", json=note).json()
        assert (answer["degraded"], answer["results"][0]["words"]) == (["explain"], [])
    finally:
        hold.set()

"""Notes that the model can't read: each goes to a person, and none holds up another, however many there are."""

from datetime import timedelta

import pytest
from pydantic import PostgresDsn, RedisDsn, Secret

from serving.note_reading import MAX_ATTEMPTS
from tests.serving.failing_graphs import WORD

pytestmark = pytest.mark.slow

SPAM = {"title": "微信", "body": "微信微信微信微信", "author_id": "ann"}
FAILING = {"title": "买点", "body": f"又{WORD}了", "author_id": "ann"}


@pytest.fixture
def elsewhere(request):
    """The settings of PostgreSQL and Redis."""
    return {
        "journal_url": Secret(PostgresDsn(request.getfixturevalue("postgres_url"))),
        "state_url": Secret(RedisDsn(request.getfixturevalue("own_redis").url)),
    }


@pytest.fixture
def desk(world, eventually):
    """A client of a server with a model that fails on some notes; nothing is drawn by chance."""
    world.registry.release_failing()
    with world.open(review_sample_share=0, review_second_share=0, required_models=frozenset()) as client:
        yield Desk(client, world, eventually)


class Desk:
    def __init__(self, client, world, eventually):
        self.client, self.world, self.eventually = client, world, eventually

    def put(self, note_id, note):
        assert self.client.put(f"/v1/notes/{note_id}", json=note).status_code == 200

    def report(self, *note_ids):
        events = [
            {"event_id": f"r-{note_id}", "user_id": "bob", "event": "report", "note_id": note_id}
            for note_id in note_ids
        ]
        dated = [one | {"occurred_at": "2025-04-30T00:00:00Z"} for one in events]
        assert self.client.post("/v1/events", json={"events": dated}).status_code == 200

    def reviews(self):
        """What waits, by note: where it comes from, and the rule that sent it."""
        found = self.client.get("/v1/reviews", params={"limit": 100}).json()["results"]
        return {one["note_id"]: (one["origin"], one["rule"]) for one in found}

    def later(self):
        """What waits a minute later."""
        self.world.clock.now += timedelta(minutes=1)
        return self.reviews()

    def troubles(self):
        answer = self.client.get("/readyz")
        assert answer.status_code == 200
        return answer.json()["troubles"]


def test_notes_that_fail_starve_no_other_and_end_with_people(desk):
    require_all_seen(desk, n_failing=17)  # one more than are read in one go


def test_many_notes_that_fail_starve_no_other_on_postgres_and_redis(world, elsewhere, eventually):
    world.registry.release_failing()
    with world.open(review_sample_share=0, required_models=frozenset(), **elsewhere) as client:
        require_all_seen(Desk(client, world, eventually), n_failing=60)


def require_all_seen(desk, *, n_failing):
    failing = {f"bad{n:02}": ("unreadable", "unreadable") for n in range(n_failing)}
    for note_id in failing:
        desk.put(note_id, FAILING)
    desk.put("spam", SPAM)
    desk.eventually(lambda: desk.reviews().get("spam", ("", ""))[0] == "decision")
    assert desk.reviews().keys() == {"spam"}  # the clock stands: no note is tried thrice
    desk.eventually(lambda: len(desk.later()) == n_failing + 1)
    assert desk.reviews().items() >= failing.items()
    desk.put("spam2", SPAM)
    desk.eventually(lambda: "spam2" in desk.reviews())
    failures = f'mingjian_background_failures_total{{job="note_reading"}} {n_failing * MAX_ATTEMPTS:.1f}'
    desk.eventually(lambda: failures in desk.client.get("/metrics").text)


def test_a_note_that_fails_is_in_no_feed_until_a_person_passes_it(desk):
    desk.put("bad", FAILING)
    desk.eventually(lambda: "bad" in desk.later())
    services = desk.client.app.state.services

    def withheld():
        (change,) = desk.client.portal.call(lambda: services.catalogues._store.changes(0, limit=9))
        return change.withheld

    desk.eventually(withheld)
    desk.client.portal.call(services.reviewers.add, "lin", "reviewer", None)
    claimed = desk.client.post("/v1/reviews:claim", json={"reviewer": "lin"}).json()
    path = f"/v1/reviews/{claimed['review']['review_id']}/decide"
    said = {"reviewer": "lin", "lease": claimed["lease"], "revision": 1, "outcome": "overturn", "reason": "sound"}
    assert desk.client.post(path, json=said).status_code == 200
    assert not withheld()


def test_a_note_that_was_changed_is_read_anew(desk):
    desk.put("n", FAILING)
    desk.eventually(lambda: desk.later().get("n") == ("unreadable", "unreadable"))
    desk.put("n", SPAM)
    desk.eventually(lambda: desk.reviews()["n"][1] != "unreadable")


@pytest.mark.parametrize("how", ["raises", "nan"])
def test_a_note_that_fails_is_a_problem_of_its_own_in_an_answer(world, how):
    world.registry.release_failing(how)
    with world.open(required_models=frozenset()) as client:
        answer = client.post("/v1/notes:score", json={"notes": [SPAM, FAILING, SPAM]})
        results = [(one["status"], one.get("code")) for one in answer.json()["results"]]
        assert results == [("scored", None), ("problem", "unreadable"), ("scored", None)]
        assert client.post("/v1/notes:score", json={"notes": [FAILING]}).status_code == 200


def test_reports_on_notes_that_fail_hold_up_no_other_and_come_to_the_desk_too(desk):
    for n in range(3):
        desk.put(f"bad{n}", FAILING)
        desk.put(f"good{n}", {"title": "散步", "body": "今天去公园散步，天气很好。"})
    desk.report("bad0", "bad1", "good0", "bad2", "unknown", "good1", "good2")
    desk.eventually(lambda: len(desk.reviews()) == 6)
    reviews = desk.reviews()
    assert {reviews[f"bad{n}"] for n in range(3)} == {("report", "unreadable")}
    assert [reviews[f"good{n}"][0] for n in range(3)] == ["report"] * 3
    assert "unreadable" not in {reviews[f"good{n}"][1] for n in range(3)}


def test_an_author_may_object_where_the_model_fails(desk):
    desk.put("bad", FAILING)
    said = {"note_id": "bad", "author_id": "ann", "text": "请看看"}
    answer = desk.client.post("/v1/appeals", json=said)
    assert (answer.status_code, answer.json()["review"]["rule"]) == (200, "unreadable")
    assert desk.client.post("/v1/appeals", json=said | {"author_id": "eve"}).status_code == 422
    assert desk.client.post("/v1/appeals", json=said | {"note_id": "none"}).status_code == 404

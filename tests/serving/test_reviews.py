"""Reviews over HTTP: from a flagged note, a report or an appeal to a decision, and what that changes."""

from datetime import timedelta

import pytest

from serving.policies.live import shipped_policy
from serving.reviews.agreement import Agreement, agreement

SPAM = {"title": "微信", "body": "微信微信微信微信"}
SOUND = {"title": "散步", "body": "今天去公园散步，天气很好。"}


@pytest.fixture
def desk(world, eventually):
    """A client of a server with a quality champion, two reviewers and a lead; nothing is drawn by chance."""
    world.registry.release_quality()
    with world.open(review_sample_share=0, review_second_share=0) as client:
        reviewers = client.app.state.services.reviewers
        for name, role in (("lin", "reviewer"), ("wu", "reviewer"), ("zhao", "lead")):
            client.portal.call(reviewers.add, name, role, None)
        yield Desk(client, eventually)


class Desk:
    def __init__(self, client, eventually):
        self.client = client
        self.eventually = eventually

    def put(self, note_id, note=SPAM, author_id="ann"):
        answer = self.client.put(f"/v1/notes/{note_id}", json={**note, "author_id": author_id})
        assert answer.status_code == 200, answer.text

    def waiting(self, n, **query):
        """The reviews that wait, once there are as many."""
        query = {"limit": 100, **query}
        self.eventually(lambda: len(self.listed(**query)) == n)
        return self.listed(**query)

    def listed(self, **query):
        return self.client.get("/v1/reviews", params=query).json()["results"]

    def claim(self, reviewer="lin", **wanted):
        answer = self.client.post("/v1/reviews:claim", json={"reviewer": reviewer, **wanted})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def act(self, verb, claimed, reviewer="lin", **fields):
        path = f"/v1/reviews/{claimed['review']['review_id']}/{verb}"
        return self.client.post(path, json={"reviewer": reviewer, **fields})

    def decide(self, claimed, outcome="overturn", reviewer="lin", **fields):
        said = {"lease": claimed["lease"], "revision": claimed["review"]["revision"], "reason": "sound"}
        return self.act("decide", claimed, reviewer, **said, outcome=outcome, **fields)

    def report(self, note_id, user_id="u1", event_id="r1"):
        event = {"event_id": event_id, "user_id": user_id, "event": "report", "note_id": note_id}
        answer = self.client.post("/v1/events", json={"events": [event | {"occurred_at": "2025-04-30T00:00:00Z"}]})
        assert answer.json()["results"][0]["status"] == "accepted"


def test_a_flagged_note_waits_for_a_person_and_a_sound_one_does_not(desk):
    desk.put("bad")
    desk.put("good", SOUND)
    (review,) = desk.waiting(1)
    assert (review["note_id"], review["origin"], review["label"], review["decision"]) == (
        "bad",
        "decision",
        "spam",
        "review",
    )
    assert review["labels"]["spam"]["flagged"]
    assert review["propensity"] == 1
    assert not review["labels"]["useful"]["flagged"]


def test_a_note_that_changes_keeps_its_one_review(desk):
    desk.put("bad")
    desk.waiting(1)
    desk.put("bad", {"title": "微信", "body": "微信微信微信"})
    desk.eventually(lambda: [one["revision"] for one in desk.listed()] == [2])


def test_a_claimed_review_is_one_reviewer_s_until_the_lease_ends(desk, world):
    desk.put("bad")
    desk.waiting(1)
    claimed = desk.claim("lin")
    assert claimed["review"]["note_id"] == "bad"
    assert desk.claim("wu")["review"] is None
    assert desk.claim("lin")["lease"] == claimed["lease"]
    world.clock.now += timedelta(seconds=599)
    assert desk.act("renew", claimed, lease=claimed["lease"]).status_code == 200
    world.clock.now += timedelta(seconds=599)
    assert desk.claim("wu")["review"] is None
    world.clock.now += timedelta(seconds=2)
    theirs = desk.claim("wu")
    assert theirs["review"]["note_id"] == "bad"
    stale = desk.decide(claimed)
    assert (stale.status_code, stale.json()["code"]) == (409, "conflict")
    assert desk.decide(theirs, reviewer="wu").status_code == 200


def test_a_review_given_back_is_open_to_others(desk):
    desk.put("bad")
    desk.waiting(1)
    claimed = desk.claim("lin")
    assert desk.act("release", claimed, lease=claimed["lease"]).status_code == 200
    assert desk.claim("wu")["review"]["note_id"] == "bad"


def test_a_decision_counts_once_and_stays(desk):
    desk.put("bad")
    desk.waiting(1)
    claimed = desk.claim()
    answers = [desk.decide(claimed, text="并非广告") for _ in range(2)]
    assert [one.status_code for one in answers] == [200, 200]
    judgement = answers[1].json()["review"]["judgement"]
    assert judgement == {
        "outcome": "overturn",
        "decision": "pass",
        "labels": {"spam": False, "useful": False, "story": False},
        "reason": "sound",
        "text": "并非广告",
    }
    assert desk.decide(claimed, "confirm").status_code == 409
    changes = desk.client.get(f"/v1/reviews/{claimed['review']['review_id']}/changes").json()["results"]
    assert [one["what"] for one in changes] == ["open", "claim", "decide"]
    assert changes[2]["before"]["state"] == "claimed"
    assert changes[2]["after"] == {"state": "decided", "outcome": "overturn", "verdict": "pass"}
    assert changes[2]["who"].startswith("r-")
    assert desk.listed() == []
    assert [one["note_id"] for one in desk.listed(state="decided")] == ["bad"]


@pytest.mark.parametrize(
    ("outcome", "fields", "verdict", "spam"),
    [
        ("confirm", {}, "limit", True),
        ("confirm", {"decision": "block"}, "block", True),
        ("overturn", {}, "pass", False),
        ("correct", {"labels": {"spam": False, "useful": True}}, "pass", False),
    ],
)
def test_an_outcome_says_what_becomes_of_the_note_and_of_each_label(desk, outcome, fields, verdict, spam):
    desk.put("bad")
    desk.waiting(1)
    judgement = desk.decide(desk.claim(), outcome, **fields).json()["review"]["judgement"]
    assert (judgement["decision"], judgement["labels"]["spam"]) == (verdict, spam)


@pytest.mark.parametrize(
    ("outcome", "fields", "pointer"),
    [
        ("correct", {}, "/labels"),
        ("correct", {"labels": {"nothing": True}}, "/labels"),
        ("confirm", {"labels": {"spam": True}}, "/labels"),
        ("confirm", {"decision": "review"}, "/decision"),
    ],
)
def test_a_decision_that_contradicts_itself_is_refused(desk, outcome, fields, pointer):
    desk.put("bad")
    desk.waiting(1)
    answer = desk.decide(desk.claim(), outcome, **fields)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


def test_a_note_that_changed_under_the_reviewer_is_not_decided_about(desk):
    desk.put("bad")
    desk.waiting(1)
    claimed = desk.claim()
    desk.put("bad", {"title": "微信", "body": "微信微信微信"})
    assert desk.decide(claimed).status_code == 409
    desk.eventually(lambda: desk.claim()["review"]["revision"] == 2)
    assert desk.decide(desk.claim()).status_code == 200


def test_a_decision_is_taken_back_within_half_a_minute(desk, world):
    desk.put("bad")
    desk.waiting(1)
    claimed = desk.claim()
    desk.decide(claimed)
    world.clock.now += timedelta(seconds=29)
    assert desk.act("undo", claimed, "wu").status_code == 409
    undone = desk.act("undo", claimed).json()
    assert (undone["review"]["state"], undone["review"]["judgement"]) == ("claimed", None)
    assert desk.decide(undone, "confirm").status_code == 200
    world.clock.now += timedelta(seconds=31)
    assert desk.act("undo", claimed).status_code == 409


def test_an_escalated_review_is_for_leads(desk):
    desk.put("bad")
    desk.waiting(1)
    escalated = desk.decide(desk.claim(), "escalate")
    assert (escalated.json()["review"]["state"], escalated.json()["review"]["for_lead"]) == ("open", True)
    assert desk.claim("wu")["review"] is None
    assert desk.decide(desk.claim("zhao"), reviewer="zhao").status_code == 200


def test_reports_open_one_review_that_weighs_more_with_each(desk):
    desk.put("good", SOUND)
    desk.report("good")
    (first,) = desk.waiting(1)
    assert (first["origin"], first["n_reports"]) == ("report", 1)
    desk.report("good", "u2", "r2")
    desk.report("unknown", "u2", "r3")
    desk.report("good", "u2", "r4")
    desk.eventually(lambda: [one["n_reports"] for one in desk.listed()] == [2])
    assert desk.listed()[0]["priority"] > first["priority"]


def test_an_appeal_goes_to_another_reviewer(desk):
    desk.put("bad")
    desk.waiting(1)
    desk.decide(desk.claim("lin"), "confirm")
    objection = {"note_id": "bad", "author_id": "ann", "text": "我没有打广告"}
    opened = desk.client.post("/v1/appeals", json=objection)
    assert opened.json()["review"]["appeal"] == "我没有打广告"
    assert desk.client.post("/v1/appeals", json=objection).status_code == 409
    assert desk.client.post("/v1/appeals", json=objection | {"author_id": "bob"}).status_code == 422
    assert desk.client.post("/v1/appeals", json=objection | {"note_id": "none"}).status_code == 404
    assert desk.claim("lin")["review"] is None
    assert desk.claim("wu")["review"]["origin"] == "appeal"


def test_a_second_opinion_is_asked_of_another_and_agreement_is_told(world, eventually):
    world.registry.release_quality()
    with world.open(review_sample_share=0, review_second_share=1) as client:
        for name in ("lin", "wu"):
            client.portal.call(client.app.state.services.reviewers.add, name, "reviewer", None)
        desk = Desk(client, eventually)
        opinions = [("confirm", "confirm"), ("overturn", "overturn"), ("confirm", "overturn")]
        for number, (first, second) in enumerate(opinions):
            desk.put(f"n{number}")
            desk.waiting(1)
            assert desk.decide(desk.claim("lin"), first).status_code == 200
            assert desk.claim("lin")["review"] is None
            theirs = desk.claim("wu")
            assert (theirs["review"]["origin"], theirs["review"]["judgement"]) == ("second_opinion", None)
            assert desk.decide(theirs, second, "wu").status_code == 200
        world.clock.now += timedelta(seconds=1)
        report = client.get("/v1/reports/reviews").json()
        assert report["agreement"] == pytest.approx({"n_pairs": 3, "agreed": 2 / 3, "kappa": 0.4})
        assert report["decided"] == {"lin": {"confirm": 2, "overturn": 1}, "wu": {"confirm": 1, "overturn": 2}}
        assert report["backlog"] == []


def test_a_share_of_all_notes_is_drawn_whatever_the_model_says(world, eventually):
    world.registry.release_quality()
    with world.open(review_sample_share=0.5) as client:
        desk = Desk(client, eventually)
        for number in range(60):
            desk.put(f"n{number}", SOUND)
        eventually(lambda: len(desk.listed(limit=100)) >= 20)
        drawn = desk.listed(limit=100)
        assert {(one["origin"], one["sampled"], one["propensity"]) for one in drawn} == {("sample", True, 0.5)}
        assert len(drawn) <= 42


def test_reports_and_what_reviewers_decided_before_count_in_the_next_decision(desk):
    certain = {"title": "微信", "body": "微信"}

    def decision(note_id):
        scored = desk.client.post("/v1/notes:score", json={"notes": [{"note_id": note_id}]}).json()["results"][0]
        return scored["decision"], scored["decision_rule"]["rule"], scored["labels"]

    desk.put("first")
    desk.waiting(1)
    desk.decide(desk.claim(), "confirm")
    desk.put("next", certain)
    assert decision("next")[:2] == ("review", "flagged_harm")
    for number in range(3):
        desk.report("next", f"u{number}", f"r{number}")
    desk.report("next", "u0", "again")
    blocked, rule, labels = decision("next")
    assert labels[0]["probability"] > 0.98
    assert (blocked, rule) == ("block", "confirmed_harm")
    desk.put("other author", certain, author_id="bob")
    for number in range(5):
        desk.report("other author", f"u{number}", f"o{number}")
    assert decision("other author")[0] == "review"


def test_a_doubtful_note_is_for_a_person_once_it_reached_many(desk, event):
    rule, easier = '"reach >= 10000", "harm_probability >= 0.3"', '"reach >= 3"'
    content = shipped_policy().content.replace(rule, easier)
    version = desk.client.post("/v1/policies", json={"content": content, "why": "x"}).json()["version"]
    desk.client.post("/v1/policies:activate", json={"version": version, "why": "x"})
    desk.put("n", SOUND)

    def rule_after(*user_ids):
        events = [event(user_id, event="read", note_id="n") for user_id in user_ids]
        assert desk.client.post("/v1/events", json={"events": events}).status_code == 200
        scored = desk.client.post("/v1/notes:score", json={"notes": [{"note_id": "n"}]}).json()
        return scored["results"][0]["decision_rule"]["rule"]

    assert rule_after("u1", "u1", "u2") != "wide_and_doubtful"
    assert rule_after("u3") == "wide_and_doubtful"


def test_reviews_go_with_their_note_and_what_was_done_stays(desk):
    desk.put("bad")
    desk.waiting(1)
    review_id = desk.claim()["review"]["review_id"]
    desk.client.delete("/v1/notes/bad")
    assert desk.client.get(f"/v1/reviews/{review_id}").status_code == 404
    changes = desk.client.get(f"/v1/reviews/{review_id}/changes").json()["results"]
    assert [one["what"] for one in changes] == ["open", "claim"]


def test_what_a_person_decided_holds_in_feeds(desk, world):
    world.registry.release_recommender()
    desk.put("bad")
    desk.waiting(1)
    catalogues = desk.client.app.state.services.catalogues

    def is_withheld():
        catalogue = catalogues.live.catalogue
        return catalogue.shelf().withheld[catalogue.number("bad")]

    desk.eventually(lambda: catalogues.live and catalogues.live.catalogue.number("bad") is not None and is_withheld())
    desk.decide(desk.claim())
    desk.eventually(lambda: not is_withheld())


def test_nobody_reviews_under_an_unknown_name(desk):
    answer = desk.client.post("/v1/reviews:claim", json={"reviewer": "nobody"})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "unknown_reviewer")


def test_lists_go_on_and_filters_hold(desk):
    for number in range(5):
        desk.put(f"n{number}", SPAM if number % 2 else {"title": "微信", "body": f"微信微信微信{number}"})
    desk.waiting(5)
    seen, cursor = [], None
    while True:
        page = desk.client.get("/v1/reviews", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        seen += [one["note_id"] for one in page["results"]]
        cursor = page["next_cursor"]
        if not page["has_more"]:
            break
    assert sorted(seen) == [f"n{number}" for number in range(5)]
    assert len(desk.listed(label="spam")) == 5
    assert desk.listed(label="useful") == desk.listed(category="food") == desk.listed(origin="report") == []
    assert desk.claim(label="useful")["review"] is None


def test_kappa_by_hand():
    assert agreement([]) == Agreement(0, None, None)
    assert agreement([("a", "a")] * 3) == Agreement(3, 1.0, None)
    pairs = [("a", "a")] * 20 + [("a", "b")] * 5 + [("b", "a")] * 10 + [("b", "b")] * 15
    assert agreement(pairs) == Agreement(50, 0.7, pytest.approx(0.4))

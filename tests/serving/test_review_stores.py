"""Reviews on the real databases, and a shift of twenty reviewers while the server is killed under them."""

import asyncio
import http.client
import json
import random
import signal
import threading
import time
from contextlib import closing, suppress
from dataclasses import replace

import pytest

from serving.reviewers import Reviewers
from serving.settings import Settings
from serving.store.journal import Fact, FactType
from serving.store.notes import Note
from serving.store.reviewers import ReviewerSession, Role
from serving.store.reviews import After, Claim, Judgement, NewReview, Origin, Outcome, ReviewQuery, ReviewState
from serving.store.sql_notes import SqlNotes
from serving.store.sql_reviewers import SqlReviewers
from serving.store.sql_reviews import SqlReviews
from serving.store.stores import open_stores

MINUTE = 60_000_000
LABELS = {"spam": {"kind": "harm", "probability": 0.9, "threshold": 0.5, "flagged": True}}
SPAM = Judgement(Outcome.CONFIRM, "limit", {"spam": 1}, "spam", "")


def new(note_id, priority=0.0, **fields):
    plain = NewReview(
        f"{note_id.encode().hex():0>24}", note_id, 1, "ann", None, None, Origin.DECISION, "spam", LABELS, 50.0,
        "review", "flagged_harm", "p", "1", "d", sampled=False, propensity=1.0, n_reports=0, priority=priority,
    )  # fmt: skip
    return replace(plain, **fields)


def claim(reviewer_id, at=1, lease=None, *, is_lead=False):
    return Claim(reviewer_id, is_lead, lease or f"lease of {reviewer_id} at {at}", at, at + 10 * MINUTE)


async def put_notes(notes, *note_ids):
    for note_id in note_ids:
        await notes.put(Note(note_id, "", f"body of {note_id}", "ann"), signature=b"", at=1)


@pytest.fixture
async def reviews(database):
    await put_notes(SqlNotes(database), *"abc")
    return SqlReviews(database)


@pytest.mark.anyio
async def test_only_stored_notes_are_opened_and_each_once(reviews):
    await reviews.open_many([new("a"), new("b"), new("gone")], at=1)
    await asyncio.gather(*(reviews.open_many([new("a", review_id=f"{n:024}")], at=2) for n in range(8)))
    found = [review.note_id for _, review in await reviews.page(ReviewQuery(), after=None, limit=9)]
    assert sorted(found) == ["a", "b"]
    assert [one.what for one in await reviews.changes(new("a").review_id)] == ["open"]  # to look again is no change


@pytest.mark.anyio
async def test_many_at_once_never_get_the_same_review(reviews):
    await reviews.open_many([new("a", 3.0), new("b", 2.0), new("c", 1.0)], at=1)
    claimed = await asyncio.gather(*(reviews.claim(claim(f"r{n}"), ReviewQuery()) for n in range(8)))
    assert sorted(one.note_id for one in claimed if one) == ["a", "b", "c"]
    assert [one.note_id for one in claimed if one] == ["a", "b", "c"]  # in their order, as each came


@pytest.mark.anyio
async def test_what_was_given_back_comes_last_for_who_gave_it_back_alone(reviews):
    await reviews.open_many([new("a", 3.0), new("b", 2.0), new("c", 1.0)], at=1)
    seen = []
    for at in range(2, 8):
        mine = await reviews.claim(claim("lin", at), ReviewQuery(skipped_since=0))
        seen.append(mine.note_id)
        assert await reviews.release(mine.review_id, claim("lin", at, mine.lease))
    assert seen == [*"abcabc"]
    assert (await reviews.claim(claim("wu", 9), ReviewQuery(skipped_since=0))).note_id == "a"
    assert (await reviews.claim(claim("lin", 9), ReviewQuery(skipped_since=8))).note_id == "b"  # a new sitting


@pytest.mark.anyio
async def test_an_escalation_keeps_its_words_counts_once_and_is_taken_back(reviews):
    await reviews.open_many([new("a")], at=1)
    mine = claim("lin")
    await reviews.claim(mine, ReviewQuery())
    words = Judgement(Outcome.ESCALATE, None, {}, "unclear", "软广？")
    for _ in range(2):
        kept = await reviews.decide(new("a").review_id, mine, words, revision=1, after=After())
        assert kept.escalation == ("lin", 1, "unclear", "软广？", mine.lease)
    assert [one.review_id for one in await reviews.last("lin", since=1)] == [new("a").review_id]
    assert await reviews.last("lin", since=2) == []
    assert await reviews.undo(new("a").review_id, claim("wu", 2), since=1) is None
    assert await reviews.undo(new("a").review_id, claim("lin", 99), since=2) is None
    undone = await reviews.undo(new("a").review_id, claim("lin", 2), since=1)
    assert (undone.holder, undone.for_lead, undone.escalation) == ("lin", False, None)
    last = (await reviews.changes(new("a").review_id))[-2]
    assert (last.what, last.who, last.after["reason"]) == ("escalate", "lin", "unclear")


@pytest.mark.anyio
async def test_an_escalation_that_a_lead_has_taken_stays(reviews):
    await reviews.open_many([new("a")], at=1)
    mine = claim("lin")
    await reviews.claim(mine, ReviewQuery())
    words = Judgement(Outcome.ESCALATE, None, {}, "unclear", "")
    await reviews.decide(new("a").review_id, mine, words, revision=1, after=After())
    assert (await reviews.claim(claim("zhao", is_lead=True), ReviewQuery())).escalation.by == "lin"
    assert await reviews.undo(new("a").review_id, claim("lin", 2), since=1) is None


@pytest.mark.anyio
async def test_a_batch_is_taken_back_whole_and_waits_again(reviews):
    await reviews.open_many([new("a"), new("b"), new("c")], at=1)
    for note_id in "ab":
        mine = claim("zhao")
        taken = await reviews.take(new(note_id).review_id, mine)
        assert taken.note_id == note_id
        after = After(batch="together")
        await reviews.decide(taken.review_id, mine, SPAM, revision=1, after=after)
    assert {one.note_id for one in await reviews.last("zhao", since=1)} == {*"ab"}
    assert (await reviews.undo(new("a").review_id, claim("zhao", 2), since=1)).state == "open"
    found = {one.note_id: one.state for _, one in await reviews.page(ReviewQuery(), after=None, limit=9)}
    assert found == dict.fromkeys("abc", "open")
    assert await reviews.last("zhao", since=1) == []


@pytest.mark.anyio
async def test_what_waits_is_counted_as_each_reviewer_sees_it(reviews):
    await reviews.open_many([new("a", 3.0), new("b", 2.0), new("c", 1.0)], at=1)
    mine = claim("lin")
    await reviews.claim(mine, ReviewQuery())
    words = Judgement(Outcome.ESCALATE, None, {}, "unclear", "")
    await reviews.decide(new("a").review_id, mine, words, revision=1, after=After())
    assert await reviews.waiting(claim("lin"), most=9) == (2, 0, 0, 0)
    assert await reviews.waiting(claim("zhao", is_lead=True), most=2) == (2, 0, 0, 0)  # three, counted up to two
    for reviewer in ("lin", "wu"):
        await reviews.claim(claim(reviewer), ReviewQuery())
    assert await reviews.waiting(claim("xu"), most=9) == (0, 2, 1, 0)
    assert await reviews.waiting(claim("xu", 11 * MINUTE), most=9) == (2, 0, 0, 0)  # their leases are over


@pytest.mark.anyio
async def test_a_decision_after_the_lease_ended_counts_for_nothing(reviews):
    await reviews.open_many([new("a")], at=1)
    first = claim("lin")
    held = await reviews.claim(first, ReviewQuery())
    late = first._replace(at=first.until + 1)
    assert await reviews.decide(held.review_id, late, SPAM, revision=1, after=After()) is None
    second = claim("wu", at=first.until + 1)
    assert (await reviews.claim(second, ReviewQuery())).holder == "wu"
    assert await reviews.decide(held.review_id, first, SPAM, revision=1, after=After()) is None
    decided = await reviews.decide(held.review_id, second, SPAM, revision=1, after=After())
    assert (decided.state, decided.holder) == (ReviewState.DECIDED, "wu")
    assert [one.what for one in await reviews.changes(held.review_id)] == ["open", "claim", "expire", "claim", "decide"]


@pytest.mark.anyio
async def test_taking_a_decision_back_takes_its_second_opinion_back(reviews):
    await reviews.open_many([new("a")], at=1)
    mine = claim("lin")
    held = await reviews.claim(mine, ReviewQuery())
    await reviews.decide(held.review_id, mine, SPAM, revision=1, after=After("f" * 24))
    assert (await reviews.get("f" * 24)).not_by == "lin"
    assert await reviews.verdicts({("a", 1), ("b", 1)}) == {"a": "limit"}
    assert (await reviews.undo(held.review_id, claim("lin", 2), since=0)).state is ReviewState.CLAIMED
    assert await reviews.get("f" * 24) is None
    assert await reviews.verdicts({("a", 1)}) == {}


@pytest.mark.anyio
async def test_what_was_said_of_a_note_since_keeps_its_decision(reviews):
    await reviews.open_many([new("a")], at=1)
    mine = claim("lin")
    held = await reviews.claim(mine, ReviewQuery())
    await reviews.decide(held.review_id, mine, SPAM, revision=1, after=After())
    await reviews.open_many([new("a", review_id="2" * 24, origin=Origin.REPORT, n_reports=1)], at=2)
    assert await reviews.undo(held.review_id, claim("lin", 2), since=0) is None
    assert (await reviews.get("2" * 24)).state is ReviewState.OPEN


@pytest.mark.anyio
async def test_a_decision_that_is_taken_back_pairs_with_no_second_opinion(reviews):
    await reviews.open_many([new("a")], at=1)
    mine, theirs = claim("lin"), claim("wu")
    held = await reviews.claim(mine, ReviewQuery())
    await reviews.decide(held.review_id, mine, SPAM, revision=1, after=After("f" * 24))
    await reviews.claim(theirs, ReviewQuery())
    await reviews.decide("f" * 24, theirs, SPAM, revision=1, after=After())
    assert len(await reviews.pairs(since=0, before=9)) == 1
    assert await reviews.undo(held.review_id, claim("lin", 2), since=0)
    assert await reviews.pairs(since=0, before=9) == []


@pytest.mark.anyio
async def test_a_revision_that_a_person_decided_about_is_opened_by_a_report_alone(reviews):
    await reviews.open_many([new("a")], at=1)
    mine = claim("lin")
    held = await reviews.claim(mine, ReviewQuery())
    await reviews.decide(held.review_id, mine, SPAM, revision=1, after=After())
    await reviews.open_many([new("a", review_id="1" * 24)], at=2)
    assert await reviews.get("1" * 24) is None
    await reviews.open_many([new("a", review_id="2" * 24, origin=Origin.REPORT, n_reports=1)], at=2)
    assert (await reviews.get("2" * 24)).state is ReviewState.OPEN
    after = await reviews.decided((0, ""), before=10, limit=5)
    assert [one.review_id for one in after] == [held.review_id]


@pytest.mark.anyio
async def test_what_was_done_long_ago_goes_a_little_at_a_time(reviews):
    await reviews.open_many([new("a"), new("b"), new("c")], at=1)
    await reviews.claim(claim("lin", at=5), ReviewQuery())
    assert [await reviews.retire_changes(5, limit=2) for _ in range(3)] == [2, 1, 0]
    found = [one.what for note_id in "abc" for one in await reviews.changes(new(note_id).review_id)]
    assert found == ["claim"]


@pytest.mark.anyio
async def test_whom_a_note_reached_is_counted_once_each_up_to_a_limit(reviews, journal):
    def event(user_id, note_id, kind="read"):
        return Fact(FactType.EVENT, user_id, 1, received_at=1, event=kind, note_id=note_id)

    await journal.append(
        [event("u1", "a"), event("u1", "a", "like"), event("u2", "a"), event("u3", "a"), event("u3", "b")]
    )
    await journal.append([event("u4", None, "open")])
    assert await reviews.reach({"a", "b", "unseen"}, most=9) == {"a": 3, "b": 1, "unseen": 0}
    assert await reviews.reach({"a", "b"}, most=2) == {"a": 2, "b": 1}


@pytest.mark.anyio
async def test_sessions_that_ended_are_forgotten(database):
    reviewers = SqlReviewers(database)
    for number in range(3):
        session = ReviewerSession(f"s{number}", "r-1", "csrf", expires_at=number, ends_at=9)
        await reviewers.sign_in(session, at=0)
    assert [await reviewers.retire_sessions(2, limit=9) for _ in range(2)] == [2, 0]


N_REVIEWS, N_REVIEWERS = 2_000, 20


class Shift(threading.Thread):
    """A reviewer who claims and decides until nothing waits; whoever does not answer is asked again."""

    def __init__(self, name, port, over):
        super().__init__()
        self.name_of, self.port, self.over = name, port, over
        self.decided = []
        self.rng = random.Random(name)

    def call(self, path, **body):
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", self.port[0], timeout=30)
            with suppress(OSError, http.client.HTTPException, ValueError), closing(connection):
                connection.request("POST", path, json.dumps({"reviewer": self.name_of, **body}), HEADERS)
                answer = connection.getresponse()
                said = json.loads(answer.read())
                if answer.status != 503:
                    return answer.status, said
            if self.over.wait(0.05):
                return 0, {}

    def run(self):
        while not self.over.is_set():
            status, claimed = self.call("/v1/reviews:claim")
            if status != 200 or claimed["review"] is None:
                return
            outcome = self.rng.choice(["confirm", "overturn"])
            said = {"lease": claimed["lease"], "revision": 1, "outcome": outcome, "reason": "spam"}
            review_id = claimed["review"]["review_id"]
            status, _ = self.call(f"/v1/reviews/{review_id}/decide", **said)
            assert status in (0, 200), status
            if status == 200:
                self.decided.append((review_id, outcome))


HEADERS = {"content-type": "application/json"}


async def fill():
    async with open_stores(Settings()) as stores:
        note_ids = [f"n{number}" for number in range(N_REVIEWS)]
        await put_notes(stores.notes, *note_ids)
        await stores.reviews.open_many([new(note_id, float(at)) for at, note_id in enumerate(note_ids)], at=1)
        people = Reviewers(stores.reviewers, clock=lambda: 1)
        for number in range(N_REVIEWERS):
            await people.add(f"r{number}", Role.REVIEWER, None)


async def outcome():
    async with open_stores(Settings()) as stores:
        decided = await stores.reviews.decided((0, ""), before=1 << 60, limit=2 * N_REVIEWS)
        changes = [await stores.reviews.changes(one.review_id) for one in decided]
        return {one.review_id: one.judgement.outcome for one in decided}, changes


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_twenty_reviewers_decide_two_thousand_reviews_while_the_server_is_killed_twice(serve, monkeypatch, eventually):
    monkeypatch.setenv("MINGJIAN_OPEN_ACCESS", "true")
    monkeypatch.setenv("MINGJIAN_REVIEW_SECOND_SHARE", "0")
    asyncio.run(fill())
    server, over = serve(), threading.Event()
    port = [server.port]
    shifts = [Shift(f"r{number}", port, over) for number in range(N_REVIEWERS)]
    for one in shifts:
        one.start()
    try:
        for share in (0.3, 0.6):
            eventually(lambda n=share * N_REVIEWS: sum(len(one.decided) for one in shifts) >= n)
            server.stop(signal.SIGKILL)
            server = serve()
            port[0] = server.port
        deadline = time.monotonic() + 300
        for one in shifts:
            one.join(max(0, deadline - time.monotonic()))
    finally:
        over.set()
    told = dict(pair for one in shifts for pair in one.decided)
    kept, changes = asyncio.run(outcome())
    assert sum(len(one.decided) for one in shifts) == len(told) == N_REVIEWS
    assert kept == told
    assert {[each.what for each in own].count("decide") for own in changes} == {1}
    assert {own[-2].after.get("holder", own[-2].before.get("holder")) == own[-1].who for own in changes} == {True}

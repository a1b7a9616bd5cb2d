"""The review desk: reviewers take notes one at a time, decide, and may take a decision back for half a minute."""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from features.state import community_day_start
from models.policy.words import Decision
from serving.errors import ConflictError, FieldProblem, InvalidError, NotFoundError
from serving.instants import SECOND_US, Clock
from serving.metrics import Metrics
from serving.store.reviewers import Reviewer
from serving.store.reviews import (
    After,
    Backlog,
    Claim,
    Escalation,
    Judgement,
    Outcome,
    Review,
    ReviewChange,
    ReviewQuery,
    ReviewState,
    ReviewStore,
    Waiting,
)

UNDO_S: Final = 30
SITTING_S: Final = 8 * 3600
"""What a reviewer put back comes last for so long."""
MOST_COUNTED: Final = 1_000
"""How far a desk counts what waits."""


class ReasonCode(StrEnum):
    """Why a reviewer decides as they do."""

    SPAM = "spam"
    ABUSE = "abuse"
    CLICKBAIT = "clickbait"
    MISINFORMATION = "misinformation"
    LOW_INFORMATION = "low_information"
    OTHER_HARM = "other_harm"
    SOUND = "sound"
    GOOD = "good"
    UNCLEAR = "unclear"


class Decided(NamedTuple):
    """What a reviewer says: see ``Judgement``. Without a verdict, what follows from the outcome."""

    outcome: Outcome
    verdict: Decision | None
    labels: Mapping[str, bool]
    reason: ReasonCode
    text: str


class Desk:
    """Hands out reviews and takes decisions.

    A review is a reviewer's for ``lease_s`` at a time; a decision by anyone who does not hold it is refused. A share of
    decisions, drawn by the review's id, is checked by a second reviewer. Where it ``tells``, the community learns each
    decision once it can't be taken back any more.
    """

    def __init__(
        self, reviews: ReviewStore, *, lease_s: float, second_share: float, tells: bool, metrics: Metrics, clock: Clock
    ) -> None:
        self._reviews = reviews
        self._lease_us = round(lease_s * SECOND_US)
        self._second_share = second_share
        self._tells = tells
        self._metrics = metrics
        self._clock = clock

    async def claim(self, reviewer: Reviewer, query: ReviewQuery) -> Review | None:
        """The review that this reviewer has, or else the first in order that they may have; None where none waits."""
        return await self._reviews.claim(self._claim(reviewer), query)

    async def next(self, reviewer: Reviewer, *, but_not: str | None = None) -> Review | None:
        """Take the next review as one who sits at it: what they put back in this sitting comes last."""
        since = self._clock() - SITTING_S * SECOND_US
        return await self.claim(reviewer, ReviewQuery(but_not=but_not, skipped_since=since))

    async def waiting(self, reviewer: Reviewer) -> Waiting:
        """What waits, as this reviewer sees it."""
        return await self._reviews.waiting(self._claim(reviewer), most=MOST_COUNTED)

    async def held(self, reviewer: Reviewer) -> Review | None:
        """The review that this reviewer has."""
        return await self._reviews.held_by(reviewer.reviewer_id, at=self._clock())

    async def last(self, reviewer: Reviewer) -> list[Review]:
        """What the reviewer last decided or escalated, while it can be taken back: one review, or all of a batch."""
        return await self._reviews.last(reviewer.reviewer_id, since=self._clock() - UNDO_S * SECOND_US)

    async def n_today(self, reviewer: Reviewer) -> int:
        """How many reviews this reviewer decided today, by the community's day."""
        now = self._clock()
        decided = await self._reviews.n_decided(since=community_day_start(now), before=now + 1)
        return sum(n for (reviewer_id, _), n in decided.items() if reviewer_id == reviewer.reviewer_id)

    async def backlog(self) -> list[Backlog]:
        """What waits, by origin."""
        return await self._reviews.backlog()

    async def renew(self, review_id: str, reviewer: Reviewer, lease: str) -> Review:
        """Keep a review for another while; ConflictError where it is not this reviewer's any more."""
        renewed = await self._reviews.renew(review_id, self._claim(reviewer, lease))
        return renewed or await self._refuse(review_id)

    async def release(self, review_id: str, reviewer: Reviewer, lease: str) -> None:
        """Give a review back undecided; ConflictError where it is not this reviewer's any more."""
        if not await self._reviews.release(review_id, self._claim(reviewer, lease)):
            await self._refuse(review_id)

    async def decide(
        self,
        review_id: str,
        reviewer: Reviewer,
        lease: str,
        decided: Decided,
        *,
        revision: int,
        batch: str | None = None,
    ) -> Review:
        """Keep a decision about a revision of a note; the same again changes nothing.

        ConflictError where the review is not this reviewer's any more, or the note is another by now; InvalidError for
        labels that the review does not have, or a decision that contradicts itself. A lead escalates to nobody.
        """
        if decided.outcome is Outcome.ESCALATE and reviewer.is_lead:
            raise ConflictError("a lead decides: there is nobody above to escalate to")
        review = await self.get(review_id)
        judgement = _judgement(review, decided)
        claim = self._claim(reviewer, lease)
        after = After(self._second(review), claim.at + UNDO_S * SECOND_US if self._tells else None, batch)
        kept = await self._reviews.decide(review_id, claim, judgement, revision=revision, after=after)
        if kept is None:
            return await self._refuse(review_id)
        self._metrics.reviews_decided.labels(review.origin, decided.outcome).inc()
        return kept

    async def decide_many(self, reviewer: Reviewer, review_ids: Sequence[str], decided: Decided) -> int:
        """Decide alike about reviews that wait, each as it is now; how many there were. They are one batch, and the
        review that this reviewer has stays theirs.
        """
        batch, n_decided = secrets.token_hex(12), 0
        for review_id in review_ids:
            mine = await self._reviews.take(review_id, self._claim(reviewer))
            if mine is None or mine.lease is None:
                continue
            try:
                await self.decide(review_id, reviewer, mine.lease, decided, revision=mine.revision, batch=batch)
                n_decided += 1
            except ConflictError:  # its note changed just now
                await self._reviews.release(review_id, self._claim(reviewer, mine.lease))
        return n_decided

    async def undo(self, review_id: str, reviewer: Reviewer) -> Review:
        """Take a decision of the last half minute back, and have the review again; ConflictError where that is over."""
        since = self._clock() - UNDO_S * SECOND_US
        undone = await self._reviews.undo(review_id, self._claim(reviewer), since=since)
        if undone is None:
            await self.get(review_id)
            raise ConflictError("this decision can't be taken back any more")
        return undone

    def verdict_of(self, review: Review, outcome: Outcome) -> str:
        """What a plain confirmation or an overturning makes of a note."""
        flagged = {label: bool(said["flagged"]) for label, said in review.labels.items()}
        return _verdict(review, outcome, _said(flagged, review, outcome))

    async def get(self, review_id: str) -> Review:
        """A review; NotFoundError for one that is not kept."""
        found = await self._reviews.get(review_id)
        if found is None:
            raise NotFoundError("no review is kept under this id")
        return found

    async def page(
        self, query: ReviewQuery, *, after: tuple[float, str] | None, limit: int
    ) -> list[tuple[float, Review]]:
        """Reviews in order, each with its place."""
        return await self._reviews.page(query, after=after, limit=limit)

    async def changes(self, review_id: str) -> list[ReviewChange]:
        """What was done to a review; NotFoundError for one of which nothing is known. What was written when it was
        escalated is told as long as the review is kept.
        """
        found = [*await self._reviews.changes(review_id)]
        if not found:
            raise NotFoundError("no review is kept under this id")
        review = await self._reviews.get(review_id)
        words = review.escalation if review else None
        return [
            one._replace(after={**one.after, "text": words.text}) if words and _is_of(one, words) else one
            for one in found
        ]

    def _claim(self, reviewer: Reviewer, lease: str | None = None) -> Claim:
        now = self._clock()
        return Claim(reviewer.reviewer_id, reviewer.is_lead, lease or secrets.token_hex(16), now, now + self._lease_us)

    def _second(self, review: Review) -> str | None:
        """The id of the second opinion on a review, if it is drawn for one; it follows from the review's own."""
        if review.about is not None:
            return None
        drawn = hashlib.blake2b(review.review_id.encode(), digest_size=12, person=b"second").digest()
        return drawn.hex() if int.from_bytes(drawn[:8]) / 2**64 < self._second_share else None

    async def _refuse(self, review_id: str) -> Review:
        review = await self.get(review_id)
        if review.state is ReviewState.DECIDED:
            raise ConflictError("this review is decided already")
        raise ConflictError("this review is not yours any more, or its note has changed: claim again")


def _is_of(change: ReviewChange, words: Escalation) -> bool:
    return (change.what, change.who, change.changed_at) == ("escalate", words.by, words.at)


def _judgement(review: Review, decided: Decided) -> Judgement:
    flagged = {label: bool(said["flagged"]) for label, said in review.labels.items()}
    if unknown := sorted({*decided.labels} - {*flagged}):
        raise _invalid("/labels", "unknown_label", f"labels that this review does not have: {len(unknown)}")
    if decided.outcome is Outcome.CORRECT and not decided.labels:
        raise _invalid("/labels", "missing", "a correction names the labels that it corrects")
    if decided.outcome is not Outcome.CORRECT and decided.labels:
        raise _invalid("/labels", "not_a_correction", "only a correction names labels")
    if decided.verdict is Decision.REVIEW:
        raise _invalid("/decision", "undecided", "a person decides: promote, pass, limit or block")
    corrected = {**flagged, **decided.labels}
    labels = corrected if decided.outcome is Outcome.CORRECT else _said(flagged, review, decided.outcome)
    return Judgement(
        decided.outcome,
        None if decided.outcome is Outcome.ESCALATE else decided.verdict or _verdict(review, decided.outcome, labels),
        {label: int(value) for label, value in labels.items()},
        decided.reason,
        decided.text,
    )


def _verdict(review: Review, outcome: Outcome, labels: Mapping[str, bool]) -> str:
    """What becomes of a note where the reviewer does not say: less reach for one with a harm, as the model decided for
    one that was confirmed, and else it is left be.
    """
    if any(value and review.labels[label]["kind"] == "harm" for label, value in labels.items()):
        return Decision.LIMIT
    confirmed = outcome is Outcome.CONFIRM and review.decision != Decision.REVIEW
    return review.decision if confirmed else Decision.PASS


def _said(flagged: Mapping[str, bool], review: Review, outcome: Outcome) -> dict[str, bool]:
    """What an outcome says of the labels: confirmed are all that the model said, overturned its flags of harm."""
    match outcome:
        case Outcome.CONFIRM:
            return dict(flagged)
        case Outcome.OVERTURN:
            return {label: value and review.labels[label]["kind"] != "harm" for label, value in flagged.items()}
        case _:
            return {}


def _invalid(pointer: str, code: str, detail: str) -> InvalidError:
    return InvalidError(detail, errors=[FieldProblem(pointer, code, detail)])

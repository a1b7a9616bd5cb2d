"""Reviews: notes that wait for a person, who has which, and what they decided."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple, Protocol


class ReviewState(StrEnum):
    """Where a review is: it waits, a reviewer has it, or it is decided."""

    OPEN = "open"
    CLAIMED = "claimed"
    DECIDED = "decided"


UNREADABLE: Final = "unreadable"
"""What stands for a policy's rule where no model could read the note."""


class Origin(StrEnum):
    """Why a note is looked at: the policy asks, it was drawn, somebody reported it, its author objects, a decision is
    checked by a second reviewer, or no model could read it.
    """

    DECISION = "decision"
    SAMPLE = "sample"
    REPORT = "report"
    APPEAL = "appeal"
    SECOND_OPINION = "second_opinion"
    UNREADABLE = "unreadable"


class Outcome(StrEnum):
    """What a reviewer makes of what the model said: it is right, or wrong, or these labels are, or a lead is to say."""

    CONFIRM = "confirm"
    OVERTURN = "overturn"
    CORRECT = "correct"
    ESCALATE = "escalate"


@dataclass(frozen=True, slots=True)
class NewReview:
    """A note that a person is to look at, with what model and policy said of this revision of it.

    ``labels`` are the model's words by label (``probability``, ``threshold``, ``kind``, ``flagged``); ``label`` is the
    flagged one that stands out. ``propensity`` is the chance that this revision comes to be looked at but for reports
    and appeals; ``sampled`` says that it was drawn, whatever else speaks for it.
    """

    review_id: str
    note_id: str
    revision: int
    author_id: str | None
    category: str | None
    tier: str | None
    origin: Origin
    label: str | None
    labels: Mapping[str, Any]
    quality: float | None
    decision: str
    rule: str
    policy_version: str
    model_version: str
    model_digest: str
    sampled: bool
    propensity: float
    n_reports: int
    priority: float


class Judgement(NamedTuple):
    """What a reviewer decided: the outcome, what becomes of the note, each label's value (0 or 1), and why."""

    outcome: Outcome
    verdict: str | None
    labels: Mapping[str, int]
    reason: str
    text: str


class Escalation(NamedTuple):
    """That a reviewer left a decision to a lead: who, when, why, and with which token they had the review."""

    by: str
    at: int
    reason: str
    text: str
    lease: str


@dataclass(frozen=True, slots=True)
class Review(NewReview):
    """A review as it is.

    ``about`` is the decided review that this one appeals or checks, ``not_by`` the reviewer who may not have it;
    ``for_lead`` is set once it was escalated, ``batch`` once it was decided together with others.
    ``holder`` has it until ``lease_until``, by the token ``lease``.
    """

    state: ReviewState
    opened_at: int
    about: str | None
    appeal: str | None
    not_by: str | None
    for_lead: bool
    holder: str | None
    lease: str | None
    lease_until: int | None
    decided_at: int | None
    judgement: Judgement | None
    escalation: Escalation | None
    batch: str | None


class Claim(NamedTuple):
    """Who wants a review, by which token, from when until when."""

    reviewer_id: str
    is_lead: bool
    lease: str
    at: int
    until: int


class After(NamedTuple):
    """What follows from a decision: a second opinion under an id, and when the community is told; None for neither.
    Decisions of one ``batch`` are taken back together.
    """

    second: str | None = None
    tell_at: int | None = None
    batch: str | None = None


class ReviewQuery(NamedTuple):
    """Which reviews; a condition holds where it is given. ``but_not`` is the id of one that is left out; those that who
    claims gave back at ``skipped_since`` or later come last; ``untold`` are those that the community did not take at
    the last attempt.
    """

    state: ReviewState | None = None
    origin: Origin | None = None
    label: str | None = None
    category: str | None = None
    tier: str | None = None
    opened_before: int | None = None
    decided_by: str | None = None
    author_id: str | None = None
    but_not: str | None = None
    skipped_since: int | None = None
    untold: bool = False


class ReviewChange(NamedTuple):
    """What was done to a review; ``before`` and ``after`` hold what changed, never a word of a note."""

    change_no: int
    changed_at: int
    review_id: str
    who: str
    what: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    policy_version: str
    model_version: str


class Report(NamedTuple):
    """That a user reported a note."""

    seq: int
    note_id: str


class Backlog(NamedTuple):
    """What waits, by origin: how many, and since when the oldest does."""

    origin: Origin
    n_waiting: int
    oldest_at: int


class Waiting(NamedTuple):
    """What waits, to one reviewer: how many they may have, others have, are for a lead, or are for somebody else."""

    n_free: int
    n_held: int
    n_for_lead: int
    n_for_others: int


class Pair(NamedTuple):
    """A first decision and the second opinion on it."""

    first: Judgement
    second: Judgement


class ReviewsHeld(NamedTuple):
    """How many reviews of a user's notes are held, those among them that wait and that bear an appeal, when the first
    was opened, and when one was last opened or decided.
    """

    n: int
    n_waiting: int
    n_appeals: int
    first_at: int
    last_at: int


class ReviewStore(Protocol):
    """The reviews. Every method raises StoreError when the store can't do it now. They go when their note does.

    A note has at most one review that is not decided.
    """

    async def open_many(self, new: Sequence[NewReview], *, at: int) -> None:
        """Open reviews of notes that are stored.

        A note that waits already is not opened twice: its review takes over the newer revision and its scores, and the
        larger priority and number of reports. One whose revision a person has decided is not opened again, but for a
        report.
        """
        ...

    async def reports(self, *, limit: int) -> list[Report]:
        """The first reports that no review was opened for yet."""
        ...

    async def oldest_report(self) -> int | None:
        """When the first report was received that no review was opened for yet; None where there is none."""
        ...

    async def oldest_untold(self, *, at: int) -> int | None:
        """When the first decision was made that is to be told by now, or was tried in vain and is tried again."""
        ...

    async def reports_taken(self, until: int) -> None:
        """That reviews were opened for the reports up to this ``seq``."""
        ...

    async def appeal(self, new: NewReview, text: str, *, at: int) -> Review | None:
        """Open a review for an author who objects, away from who decided before; None where an appeal waits already."""
        ...

    async def claim(self, claim: Claim, query: ReviewQuery) -> Review | None:
        """Take the first review in order; the one that the reviewer has already, if so. None where none waits."""
        ...

    async def take(self, review_id: str, claim: Claim) -> Review | None:
        """Take this review beside any that the reviewer has; None where it does not wait for them."""
        ...

    async def held_by(self, reviewer_id: str, *, at: int) -> Review | None:
        """The review that a reviewer has; of several the last that they took."""
        ...

    async def renew(self, review_id: str, claim: Claim) -> Review | None:
        """Keep a review longer; None where the token does not hold it any more."""
        ...

    async def release(self, review_id: str, claim: Claim) -> bool:
        """Give a review back; whether the token held it."""
        ...

    async def decide(
        self, review_id: str, claim: Claim, judgement: Judgement, *, revision: int, after: After
    ) -> Review | None:
        """Keep what was decided, with what follows from it.

        None where the token does not hold the review, or the note is another by now. To decide the same again changes
        nothing.
        """
        ...

    async def due(self, at: int, *, again_at: int, limit: int) -> list[tuple[Review, int]]:
        """Decisions that the community is to be told now, with how often that was tried; each is given to one caller,
        and again at ``again_at`` if nothing is heard of it.
        """
        ...

    async def told(self, review_id: str, *, again_at: int | None, was_taken: bool) -> None:
        """Keep how telling went: when it is to be tried again, None for never."""
        ...

    async def undo(self, review_id: str, claim: Claim, *, since: int) -> Review | None:
        """Have a review as before its decision or escalation, which this reviewer made at ``since`` or later; None
        where not so. Of a batch, all are as before, and wait.
        """
        ...

    async def last(self, reviewer_id: str, *, since: int) -> list[Review]:
        """What this reviewer last decided or escalated, at ``since`` or later: one review, or those of a batch."""
        ...

    async def waiting(self, claim: Claim, *, most: int) -> Waiting:
        """What waits, as this reviewer sees it; what is free is counted up to ``most``, the rest if nothing is."""
        ...

    async def get(self, review_id: str) -> Review | None:
        """A review."""
        ...

    async def page(
        self, query: ReviewQuery, *, after: tuple[float, str] | None, limit: int
    ) -> list[tuple[float, Review]]:
        """Reviews with their place: the decided by when, the newest first; the others by priority."""
        ...

    async def verdicts(self, revisions: Collection[tuple[str, int]]) -> dict[str, str]:
        """What people last decided about these revisions of notes, by note."""
        ...

    async def decided(self, after: tuple[int, str], *, before: int, limit: int) -> list[Review]:
        """The first ``limit`` decided above an instant and id, and before an instant, in their order."""
        ...

    async def changes(self, review_id: str) -> Sequence[ReviewChange]:
        """What was done to a review, in order."""
        ...

    async def retire_changes(self, before: int, *, limit: int) -> int:
        """Delete up to ``limit`` of what was done before an instant; how many."""
        ...

    async def reporters(self, note_id: str, *, before: int) -> list[str]:
        """Users who reported a note before an instant."""
        ...

    async def reach(self, note_ids: Collection[str], *, most: int) -> dict[str, int]:
        """How many users have an event on each of these notes, counted up to ``most``."""
        ...

    async def n_reports(self, note_ids: Collection[str]) -> dict[str, int]:
        """How many users reported each of these notes that anyone did."""
        ...

    async def credibility(self, author_ids: Collection[str]) -> dict[str, float]:
        """The share of each author's reviewed notes that people found nothing wrong with, of those who have any."""
        ...

    async def backlog(self) -> list[Backlog]:
        """What waits."""
        ...

    async def n_decided(self, *, since: int, before: int) -> dict[tuple[str, Outcome], int]:
        """How many reviews each reviewer decided, by outcome."""
        ...

    async def pairs(self, *, since: int, before: int) -> list[Pair]:
        """Second opinions that were decided, each with what it is about."""
        ...

    async def held(self, user_id: str) -> ReviewsHeld | None:
        """What is held of reviews of a user's notes; None where that is nothing."""
        ...

    async def erase(self, user_id: str) -> None:
        """Leave nothing of a user in reviews of notes that are another's by now; those of their own went with these."""
        ...

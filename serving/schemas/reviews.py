"""Reviews: what waits, who has it, and what they decide."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from models.policy.words import Decision, Tier
from models.quality.settings import LabelKind
from serving.reviews.desk import ReasonCode
from serving.schemas.base import Answer, Body, Flag, Id, Instant, Name, Text
from serving.store.reviews import Origin, Outcome, ReviewState

MAX_PAGE = 100
MAX_TEXT = 2_000

ReviewId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{24}$")]
Lease = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
EXAMPLE_LEASE = "0" * 32


class ClaimReview(Body):
    """Who wants a review, and of which kind."""

    model_config = ConfigDict(json_schema_extra={"example": {"reviewer": "lin"}})

    reviewer: Name
    origin: Origin | None = None
    label: Name | None = None
    category: Name | None = None
    tier: Tier | None = None
    opened_before: Instant | None = None


class HoldReview(Body):
    """Who has a review, by the token that the claim gave."""

    model_config = ConfigDict(json_schema_extra={"example": {"reviewer": "lin", "lease": EXAMPLE_LEASE}})

    reviewer: Name
    lease: Lease


class DecideReview(HoldReview):
    """What a reviewer decides about a revision of a note.

    ``confirm``: the model is right. ``overturn``: none of its flags is. ``correct``: ``labels`` say which are. Without
    ``decision`` the note gets less reach where a harm remains, what the model decided where that is confirmed, and is
    left be otherwise.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "reviewer": "lin",
                "lease": EXAMPLE_LEASE,
                "revision": 1,
                "outcome": "overturn",
                "reason": "sound",
            }
        }
    )

    revision: Annotated[int, Field(strict=True, ge=1, lt=2**31)]
    outcome: Outcome
    decision: Decision | None = None
    labels: dict[Name, Flag] = Field(default_factory=dict, max_length=100)
    reason: ReasonCode
    text: Text = Field("", max_length=MAX_TEXT)


class UndoReview(Body):
    """Who takes a decision back."""

    model_config = ConfigDict(json_schema_extra={"example": {"reviewer": "lin"}})

    reviewer: Name


class AppealIn(Body):
    """An author's objection to what was decided about their note."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"note_id": "n-42", "author_id": "u-7", "text": "不是广告"}}
    )

    note_id: Id
    author_id: Id
    text: Text = Field(min_length=1, max_length=MAX_TEXT)


class LabelSaidOut(BaseModel):
    """What the model said of a label."""

    kind: LabelKind
    probability: float
    threshold: float
    flagged: bool


class JudgementOut(BaseModel):
    """What a reviewer decided; ``labels`` hold each label's value, empty for one that was escalated."""

    outcome: Outcome
    decision: Decision | None
    labels: dict[str, bool]
    reason: str
    text: str


class EscalationOut(BaseModel):
    """That a reviewer (a pseudonym) left the decision to a lead, and what they said."""

    by: str
    at: datetime
    reason: str
    text: str


class ReviewOut(BaseModel):
    """A review. ``propensity`` is the chance that this revision comes to be looked at but for reports and appeals."""

    review_id: str
    note_id: str
    revision: int
    author_id: str | None
    category: str | None
    tier: Tier | None
    state: ReviewState
    origin: Origin
    label: str | None
    labels: dict[str, LabelSaidOut]
    quality: float | None
    decision: Decision
    rule: str
    policy_version: str
    model_version: str
    model_digest: str
    sampled: bool
    propensity: float
    n_reports: int
    priority: float
    opened_at: datetime
    about: str | None
    appeal: str | None
    for_lead: bool
    holder: str | None
    lease_until: datetime | None
    decided_at: datetime | None
    judgement: JudgementOut | None
    escalation: EscalationOut | None


class ReviewAnswer(Answer):
    """One review."""

    review: ReviewOut


class ReviewClaimed(Answer):
    """The review that the reviewer has now, with the token that holds it; null where none waits for them."""

    review: ReviewOut | None
    lease: str | None


class ReviewReleased(Answer):
    """A review was given back."""

    review_id: str


class WantedReviews(Body):
    """Which reviews, and where to go on."""

    state: ReviewState = ReviewState.OPEN
    origin: Origin | None = None
    label: Name | None = None
    category: Name | None = None
    tier: Tier | None = None
    opened_before: Instant | None = None
    untold: bool = Field(False, description="Only decisions that the community did not take at the last attempt.")
    limit: int = Field(20, ge=1, le=MAX_PAGE)
    cursor: Text | None = Field(None, max_length=1_000)


class ReviewsListed(Answer):
    """Reviews: those that wait by priority, the decided by when, the newest first."""

    results: list[ReviewOut]
    has_more: bool
    next_cursor: str | None


class ReviewChangeOut(BaseModel):
    """What was done to a review, by whom (a pseudonym, ``-`` for the server): what changed, before and after."""

    changed_at: datetime
    who: str
    what: str
    before: dict[str, Any]
    after: dict[str, Any]
    policy_version: str
    model_version: str


class ReviewChanges(Answer):
    """All that was done to a review, in order; nothing is ever taken out of it."""

    results: list[ReviewChangeOut]


class WantedSummary(Body):
    """Which stretch of time; the last seven days if left out."""

    since: Instant | None = None
    before: Instant | None = None


class BacklogOut(BaseModel):
    """What waits."""

    origin: Origin
    n_waiting: int
    oldest_at: datetime


class AgreementOut(BaseModel):
    """Cohen's kappa between first decisions and second opinions; null where it has no meaning."""

    n_pairs: int
    agreed: float | None
    kappa: float | None


class ReviewReport(Answer):
    """How reviewing goes."""

    since: datetime
    before: datetime
    backlog: list[BacklogOut]
    decided: dict[str, dict[Outcome, int]]
    agreement: AgreementOut

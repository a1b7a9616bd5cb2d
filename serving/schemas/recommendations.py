"""Recommendations: feeds, what became of them, and what they are made of."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from serving.feedback import FeedbackKind
from serving.schemas.base import Answer, Body, Id, Instant, Name, ScoringAnswer, Text
from serving.schemas.entries import EachOf, Malformed
from serving.schemas.problems import FieldOut
from serving.session_token import MAX_CHARS

MAX_LIMIT = 100
MAX_EXCLUDED = 1_000
MAX_FEEDBACK = 1_000
FallbackReason = Literal["personalisation_off", "no_history", "unknown_history", "too_few", "history_unavailable"]


class RecommendNotes(Body):
    """Whom to recommend to, and where.

    ``context_note_id`` is the note being looked at; ``category`` is preferred where the model has nothing for the user.
    ``session_token`` goes on from the page before. With ``as_of`` the feed is as it would have been then, and not put
    on record.
    """

    model_config = ConfigDict(json_schema_extra={"example": {"user_id": "u-7", "limit": 20, "scene": "home"}})

    user_id: Id
    limit: Annotated[int, Field(strict=True, ge=1, le=MAX_LIMIT)] = 20
    scene: Name = "home"
    context_note_id: Id | None = None
    category: Name | None = None
    exclude: list[Id] = Field(default_factory=list, max_length=MAX_EXCLUDED)
    session_token: Text | None = Field(None, max_length=MAX_CHARS)
    as_of: Instant | None = None


class ReasonWhy(BaseModel):
    """Why a note is shown; ``note_id`` is the user's own note that speaks most for it."""

    code: str
    zh: str
    en: str
    note_id: str | None = None


class RecommendedNote(BaseModel):
    """A note in its place.

    ``source`` found it: ``similar``, ``next`` and the like by behaviour, ``content`` by what it says, ``popular``,
    ``fresh``, ``supported`` without the user. ``score`` orders one user's notes and is no probability.
    """

    note_id: str
    score: float | None
    source: str
    reasons: list[ReasonWhy]
    fallback_reason: FallbackReason | None


class Recommendations(ScoringAnswer):
    """A feed, best place first; hand ``session_token`` back for the next page."""

    recommendation_id: str
    arm: Literal["exploit", "explore"]
    session_token: str
    results: list[RecommendedNote]


class WantedSimilar(Body):
    """How many notes like a note are wanted."""

    limit: int = Field(20, ge=1, le=MAX_LIMIT)


class SimilarNote(BaseModel):
    """A note like another: by behaviour (``similar``) or by what it says (``content``)."""

    note_id: str
    score: float
    source: str


class SimilarNotes(Answer):
    """Notes like a note, the likest first."""

    note_id: str
    results: list[SimilarNote]


class FeedbackIn(Body):
    """What became of a recommendation. A hide names a note, or an author, or both."""

    kind: Literal[FeedbackKind.EXPOSURE, FeedbackKind.CLICK, FeedbackKind.HIDE]
    user_id: Id
    note_id: Id | None = None
    author_id: Id | None = None
    recommendation_id: Id | None = None
    occurred_at: Instant | None = Field(None, description="Now, if left out.")
    feedback_id: Id | None = Field(None, description="Counts once; left out, what it says and when is its id.")

    @model_validator(mode="after")
    def _names_something(self) -> "FeedbackIn":
        if self.note_id is None and (self.kind is not FeedbackKind.HIDE or self.author_id is None):
            raise ValueError("an exposure or a click names a note, a hide a note or an author")
        return self


class DeliveryIn(Body):
    """That an assigned action was done for the user."""

    kind: Literal["delivery"]
    user_id: Id
    assignment_id: Id


class FeedbackBatch(Body):
    """Up to 1,000 pieces of feedback."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"feedback": [{"kind": "click", "user_id": "u-7", "note_id": "n-42"}]}}
    )

    feedback: Annotated[
        list[FeedbackIn | DeliveryIn | Malformed],
        EachOf(Annotated[FeedbackIn | DeliveryIn, Field(discriminator="kind")], MAX_FEEDBACK),
    ]


class FeedbackResult(BaseModel):
    """What became of one piece of feedback; ``errors`` say what is malformed in it."""

    status: Literal["accepted", "duplicate", "conflict", "rejected"]
    code: str | None
    detail: str | None
    errors: list[FieldOut] = []


class FeedbackResults(Answer):
    """A result for each, in order. What is accepted is on disk."""

    results: list[FeedbackResult]


class WantedReport(Body):
    """Which stretch of time, by default the last 30 days, and by what."""

    by: Literal["source", "version", "arm", "scene"] = "source"
    since: Instant | None = None
    before: Instant | None = None


class ClickRateOut(BaseModel):
    """Of one kind: notes recommended, exposed, clicked; ``ctr`` is clicked over exposed, ``low`` to ``high`` its 95%
    interval.
    """

    name: str
    n_recommended: int
    n_exposed: int
    n_clicked: int
    ctr: float | None
    low: float | None
    high: float | None


class RecommendationReport(Answer):
    """How recommendations did, by kind."""

    by: str
    results: list[ClickRateOut]


class InterestOut(BaseModel):
    """A category or topic: of how many notes that the user took up, and when last."""

    tag: str
    n_notes: int
    last_at: datetime


class UserInterests(Answer):
    """A user's interests, the strongest first."""

    user_id: str
    results: list[InterestOut]


class InterestDeleted(Answer):
    """From ``deleted_at`` on, nothing that was done before speaks for this interest."""

    user_id: str
    tag: str
    deleted_at: datetime

"""People's rights: what is held of a user, and that they are erased."""

from datetime import datetime

from pydantic import BaseModel

from serving.schemas.base import Answer
from serving.schemas.lists import ScoredBy
from serving.store.scores import Status


class ProfileHeld(BaseModel):
    """The profile in force; ``null`` for what is unknown."""

    registered_at: datetime | None
    n_followers: int | None
    personalisation_opt_out: bool | None
    is_minor: bool | None


class EventsHeld(BaseModel):
    """The user's events of one name: how many, the first and the last."""

    event: str
    n: int
    first_at: datetime
    last_at: datetime


class StateHeld(BaseModel):
    """What scores are made from: the first and last activity, the latest event of any kind, the registration, and the
    days with tallies of events; all ``null`` where the stored state can't be read and will be made anew.
    """

    first_at: datetime | None
    last_at: datetime | None
    latest_at: datetime | None
    registered_at: datetime | None
    n_days: int | None


class NotesHeld(BaseModel):
    """The notes by the user: how many, when the first was put, and when one last changed."""

    n: int
    first_at: datetime
    last_at: datetime


class ReviewsHeld(BaseModel):
    """The reviews of the user's notes: how many, how many of them wait, or bear an appeal of the user's, when the first
    was opened, and when one was last opened or decided.
    """

    n: int
    n_waiting: int
    n_appeals: int
    first_at: datetime
    last_at: datetime


class RecommendationsHeld(BaseModel):
    """The recommendations to the user that are on record: how many notes, the first and the last."""

    n: int
    first_at: datetime
    last_at: datetime


class AssignmentsHeld(BaseModel):
    """The actions that were assigned to the user and are on record: how many, the first and the last."""

    n: int
    first_at: datetime
    last_at: datetime


class SegmentHeld(BaseModel):
    """The tier and stage that the user was in when KPIs were last rolled up."""

    tier: str
    stage: str


class ScoreHeld(BaseModel):
    """The latest score at one horizon, as lists have it."""

    horizon_days: int
    status: Status
    probability: float | None
    last_active_at: datetime | None
    changed_at: datetime
    as_of: datetime
    model: ScoredBy


class UserHeld(Answer):
    """All that is held of a user.

    ``profile`` is the one in force of the ``n_profiles`` that were put and are still held; ``n_mentions`` are events of
    others that name the user as their target. Reports that the user made are among ``events``.
    """

    user_id: str
    profile: ProfileHeld | None
    n_profiles: int
    events: list[EventsHeld]
    n_mentions: int
    state: StateHeld | None
    scores: list[ScoreHeld]
    notes: NotesHeld | None
    reviews: ReviewsHeld | None
    deleted_interests: list[str]
    recommendations: RecommendationsHeld | None
    assignments: AssignmentsHeld | None
    segment: SegmentHeld | None


class UserErased(Answer):
    """The user is erased; ``complete`` unless ``degraded`` names stores that will follow by themselves."""

    user_id: str
    erased_at: datetime
    complete: bool

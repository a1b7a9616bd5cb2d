"""Actions: what is assigned to whom, in which arm, and what that is worth."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from models.policy.words import Stage, Tier
from serving.schemas.base import Answer, Body, Id, Instant
from serving.store.assignments import Arm
from serving.uplift import Verdict

MAX_USERS = 1_000


class AssignActions(Body):
    """For whom something is to be done. ``batch_id`` is yours: to send a batch again assigns nothing more."""

    model_config = ConfigDict(json_schema_extra={"example": {"batch_id": "2026-01-31", "user_ids": ["u-7", "u-8"]}})

    batch_id: Id
    user_ids: Annotated[list[Id], Field(min_length=1, max_length=MAX_USERS)]


class AssignmentOut(BaseModel):
    """An action for a user. It is to be done in the arm ``treatment`` alone; the others are there to compare with."""

    assignment_id: str
    action: str
    arm: Arm
    assigned_at: datetime
    tier: Tier
    stage: Stage
    churn_probability: float | None


class UserAssignment(BaseModel):
    """What a user is to have, if anything."""

    user_id: str
    assignment: AssignmentOut | None


class ActionsAssigned(Answer):
    """A result for each user, in order."""

    batch_id: str
    results: list[UserAssignment]


class WantedUplift(Body):
    """Which assignments, by default those of the last 90 days, and what users did in how many days after."""

    since: Instant | None = None
    before: Instant | None = None
    window_days: int = Field(14, ge=1, le=90)


class EffectOut(BaseModel):
    """A mean per user in either arm; ``difference`` with its 95% interval ``low`` to ``high``."""

    outcome: str
    treated: float | None
    held_out: float | None
    difference: float | None
    low: float | None
    high: float | None
    verdict: Verdict


class UpliftOut(BaseModel):
    """An action's uplift. Where the split is not as it was drawn (``p_split`` < 0.001) nothing is concluded."""

    action: str
    n_treated: int
    n_held_out: int
    p_split: float | None
    is_split_right: bool
    effects: list[EffectOut]


class UpliftReport(Answer):
    """What actions are worth, by name."""

    window_days: int
    results: list[UpliftOut]

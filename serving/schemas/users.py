"""Users: profiles and scores."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict

from models.policy.words import ActionKind, Stage, Tier
from serving.schemas.base import Answer, Body, Count, Flag, Id, Instant, ScoringAnswer
from serving.schemas.entries import EachOf, Malformed
from serving.schemas.problems import FieldOut

MAX_USERS: Final = 1_000


class Profile(Body):
    """All that is known of a user beside their events; what is left out becomes unknown.

    But `personalisation_opt_out` and `is_minor` protect: once true, they end by an explicit `false` alone.
    """

    model_config = ConfigDict(
        json_schema_extra={"example": {"registered_at": "2024-11-03T09:00:00+08:00", "n_followers": 12}}
    )

    registered_at: Instant | None = None
    n_followers: Count | None = None
    personalisation_opt_out: Flag | None = None
    is_minor: Flag | None = None


class ProfileStored(Answer):
    """The profile is on disk."""

    user_id: str


class ScoreUsers(Body):
    """Whom to score, as of when (now by default), at which of the model's horizons (all by default), and whether to
    explain the longest of these (up to 100 users).
    """

    model_config = ConfigDict(
        json_schema_extra={"example": {"user_ids": ["u-7", "u-8"], "horizons": [7, 30], "explain": True}}
    )

    user_ids: Annotated[list[Id | Malformed], EachOf(Id, MAX_USERS)]
    as_of: Instant | None = None
    horizons: list[Annotated[int, Strict()]] | None = Field(None, min_length=1, max_length=32)
    explain: Flag = False


class Reason(BaseModel):
    """Why, for a program (``code``) and for people.

    Where a score was explained: what this adds to its raw score, in logits, and the facts that the text states.
    """

    code: str
    zh: str
    en: str
    contribution: float | None = None
    values: dict[str, float] = {}


class Explained(BaseModel):
    """What the reasons explain: ``raw_score`` = ``base`` + their contributions, logits before calibration."""

    horizon_days: int
    base: float
    raw_score: float


class Churn(BaseModel):
    """The probability that the user shows no activity in the ``horizon_days`` to come."""

    horizon_days: int
    probability: float = Field(ge=0, le=1)
    threshold: float
    at_risk: bool


class Said(BaseModel):
    """A rule of the policy in words for people."""

    zh: str
    en: str


class ActionSaid(Said):
    """An action of the policy, and why it is taken (``zh``, ``en``).

    Whoever takes it leaves the user alone by it for ``cooldown_days``, and takes it for ``daily_cap`` users a day at
    most; null is no cap. ``money`` is what the user gets, null for nothing.
    """

    kind: ActionKind
    priority: int
    cooldown_days: int
    daily_cap: int | None
    money: float | None


class PolicySaid(BaseModel):
    """What the names in an answer's results mean: the rules of tiers and of stages that fired, and the actions."""

    tier_rules: dict[str, Said]
    stage_rules: dict[str, Said]
    actions: dict[str, ActionSaid]


class UserScore(BaseModel):
    """One user's scores: none for a user never seen active (``cold_start``) or not of late (``inactive``).

    The policy gives every user a tier, a stage (with the names of the rules that fired) and the actions that they are
    eligible for, the highest priority first; ``actions_withheld`` where the user's own choice or the law keeps some
    from them.
    """

    user_id: str
    status: Literal["scored", "cold_start", "inactive"]
    churn: list[Churn]
    reasons: list[Reason]
    explained: Explained | None = None
    tier: Annotated[str, Field(json_schema_extra={"enum": [*Tier]})]
    tier_rule: str
    stage: Annotated[str, Field(json_schema_extra={"enum": [*Stage]})]
    stage_rule: str
    actions: list[str]
    actions_withheld: bool


class UserProblem(BaseModel):
    """Why an entry that is no id has no score."""

    status: Literal["problem"]
    code: Literal["malformed"]
    detail: str
    errors: list[FieldOut]


class UserScores(ScoringAnswer):
    """A score or a problem per user asked for, in order; ``policy`` says what names of rules and actions mean."""

    policy: PolicySaid
    results: list[UserScore | UserProblem]

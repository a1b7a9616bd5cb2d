"""The JSON of the API: what comes in, strictly, and what goes out."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, Strict, StringConstraints
from pydantic_core import PydanticCustomError

from features.schema import EVENT_KINDS

MAX_EVENTS: Final = 1_000
MAX_USERS: Final = 1_000

_PLAIN: Final = r"^[^\x00-\x1f\x7f]+$"


def _text(value: object) -> object:
    """Instants come as text; a number could mean seconds or milliseconds."""
    if not isinstance(value, str):
        raise PydanticCustomError("instant_type", "an instant is ISO 8601 text with a zone")
    return value


Id = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=_PLAIN)]
EventName = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=_PLAIN)]
Instant = Annotated[AwareDatetime, BeforeValidator(_text)]
Number = Annotated[float, Strict()]
Count = Annotated[int, Strict(), Field(ge=0, le=10**12)]
Flag = Annotated[bool, Strict()]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Answer(BaseModel):
    """What every answer has; ``degraded`` names what it had to do without."""

    request_id: str
    took_ms: float
    degraded: list[str] = []


class EventIn(_Body):
    """Something a user did, or that was shown to them."""

    event_id: Id
    user_id: Id
    event: EventName = Field(description=f"One of {', '.join(EVENT_KINDS)}; any other name counts as other.")
    occurred_at: Instant
    note_id: Id | None = None
    value: Number | None = Field(None, description="Seconds for read, money for purchase, rating for like.")
    target_user_id: Id | None = None
    session_id: Id | None = None
    recommendation_id: Id | None = None


class Events(_Body):
    """A batch of events."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "events": [
                    {
                        "event_id": "e-1001",
                        "user_id": "u-7",
                        "event": "read",
                        "note_id": "n-42",
                        "occurred_at": "2025-05-01T20:15:00+08:00",
                        "value": 38.5,
                    }
                ]
            }
        }
    )

    events: list[EventIn] = Field(min_length=1, max_length=MAX_EVENTS)


class EventResult(BaseModel):
    """What became of one event; ``code`` and ``detail`` say why it was not taken."""

    event_id: str
    status: Literal["accepted", "duplicate", "conflict", "rejected"]
    code: str | None
    detail: str | None
    warnings: list[str]


class EventResults(Answer):
    """A result per event, in order. What is accepted is on disk."""

    results: list[EventResult]


class Profile(_Body):
    """All that is known of a user beside their events; what is left out becomes unknown."""

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


class ScoreUsers(_Body):
    """Whom to score, as of when (now by default), at which of the model's horizons (all by default), and whether to
    explain the longest of these (up to 100 users).
    """

    model_config = ConfigDict(
        json_schema_extra={"example": {"user_ids": ["u-7", "u-8"], "horizons": [7, 30], "explain": True}}
    )

    user_ids: list[Id] = Field(min_length=1, max_length=MAX_USERS)
    as_of: Instant | None = None
    horizons: list[Annotated[int, Strict()]] | None = Field(None, min_length=1, max_length=32)
    explain: Flag = False


class ModelRef(BaseModel):
    """The model that answered."""

    name: str
    version: str
    alias: str
    digest: str


class ScoringAnswer(Answer):
    """What every answer with scores has; the features held only what happened before ``features_as_of``."""

    model: ModelRef
    policy_version: str | None = None
    features_as_of: datetime


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


class UserScore(BaseModel):
    """One user's scores: none for a user never seen active (``cold_start``) or not of late (``inactive``)."""

    user_id: str
    status: Literal["scored", "cold_start", "inactive"]
    churn: list[Churn]
    reasons: list[Reason]
    explained: Explained | None = None


class UserScores(ScoringAnswer):
    """A score per user asked for, in order."""

    results: list[UserScore]


class ModelOut(BaseModel):
    """A live model: ``name`` and ``role`` are its slot."""

    name: str
    role: str
    version: str
    digest: str
    released_at: str
    loaded_at: datetime
    gates: dict[str, Any]


class RefusedOut(BaseModel):
    """A release that is not served, and why."""

    name: str
    role: str
    digest: str | None
    reason: str
    at: datetime


class Models(Answer):
    """What is live, and what was refused."""

    live: list[ModelOut]
    refused: list[RefusedOut]


class Alive(Answer):
    """The process answers."""


class FieldOut(BaseModel):
    """What is wrong with a part of the request, which a JSON pointer names."""

    pointer: str
    code: str
    detail: str


class Problem(BaseModel):
    """Why a request was not met (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": "/problems/no_model",
                "title": "No model is live",
                "status": 503,
                "code": "no_model",
                "detail": "no churn model has been released to this server",
                "request_id": "3f2a9c0d5b7e4f16",
                "errors": [],
            }
        }
    )

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str
    errors: list[FieldOut]


class InferError(BaseModel):
    """Why a request was not met (Open Inference Protocol)."""

    error: str


class Live(BaseModel):
    """The process answers (Open Inference Protocol)."""

    live: bool


class Ready(BaseModel):
    """Everything that scoring needs answers (Open Inference Protocol)."""

    ready: bool


class ModelReady(Ready):
    """A live model."""

    name: str


class ServerMetadata(BaseModel):
    """The server, and what it understands beside the Open Inference Protocol."""

    name: str
    version: str
    extensions: list[str]


class TensorOut(BaseModel):
    """A tensor of a model; the first size, -1, is the number of rows."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """A model's live versions and tensors; ``parameters`` say what the columns of the tensors are."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorOut]
    outputs: list[TensorOut]
    parameters: dict[str, Any]


class InferTensor(TensorOut):
    """An inferred tensor, row by row; its ``data`` is missing where it lies in the bytes behind the JSON."""

    data: list[float | None] | None = None
    parameters: dict[str, int] | None = None


class InferAnswer(BaseModel):
    """What the model says of the rows."""

    model_config = ConfigDict(protected_namespaces=())

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[InferTensor]


class Readiness(Answer):
    """Each check by name: ``ok``, or what is wrong."""

    ready: bool
    checks: dict[str, str]

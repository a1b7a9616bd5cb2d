"""What bodies and answers of every resource are made of."""

from datetime import datetime
from typing import Annotated, Final

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, Strict, StringConstraints
from pydantic_core import PydanticCustomError

PLAIN: Final = r"^[^\x00-\x1f\x7f]+$"


def _text(value: object) -> object:
    """Instants come as text with a date; a number, also as text, could mean seconds or milliseconds."""
    if not (isinstance(value, str) and value[4:5] == "-"):
        raise PydanticCustomError("instant_type", "an instant is ISO 8601 text with a zone")
    return value


Id = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=PLAIN)]
Instant = Annotated[AwareDatetime, BeforeValidator(_text)]
Number = Annotated[float, Strict()]
Count = Annotated[int, Strict(), Field(ge=0, le=10**12)]
Flag = Annotated[bool, Strict()]


class Body(BaseModel):
    """What comes in: nothing unknown, nothing infinite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Answer(BaseModel):
    """What every answer has; ``degraded`` names what it had to do without."""

    request_id: str
    took_ms: float
    degraded: list[str] = []


class ModelRef(BaseModel):
    """The model that answered."""

    name: str
    version: str
    alias: str
    digest: str


class Fired(BaseModel):
    """The rule of the policy that fired: its name, and what it asks in words for people."""

    rule: str
    zh: str
    en: str


class ScoringAnswer(Answer):
    """What every answer with scores has; the features held only what happened before ``features_as_of``.

    ``policy_version`` is the digest of the policy that made tiers, stages, actions and decisions of the scores.
    """

    model: ModelRef
    policy_version: str
    features_as_of: datetime

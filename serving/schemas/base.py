"""What bodies and answers of every resource are made of."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    StringConstraints,
)
from pydantic_core import PydanticCustomError

from features.ids import MAX_CHARS, PATH_STEPS, PATTERN


def _text(value: object) -> object:
    """Instants come as text with a date; a number, also as text, could mean seconds or milliseconds."""
    if not (isinstance(value, str) and value[4:5] == "-"):
        raise PydanticCustomError("instant_type", "an instant is ISO 8601 text with a zone")
    return value


def _in_utc(instant: datetime) -> datetime:
    try:
        return instant.astimezone(UTC)
    except OverflowError as error:
        raise PydanticCustomError("instant_range", "an instant lies in the years 1 to 9999 of UTC") from error


def _no_path_step(text: str) -> str:
    if text in PATH_STEPS:
        raise PydanticCustomError("path_step", "`.` and `..` are no ids: clients take them out of paths")
    return text


def _whole(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise PydanticCustomError("string_unicode", "half of a surrogate pair is no character") from error
    return text


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise PydanticCustomError("string_nul", "text holds no U+0000")
    return text


_NoPathStep = AfterValidator(_no_path_step), Field(json_schema_extra={"not": {"enum": [*PATH_STEPS]}})
Id = Annotated[str, StringConstraints(min_length=1, max_length=MAX_CHARS, pattern=PATTERN), *_NoPathStep]
Name = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=PATTERN), *_NoPathStep]
"""A word that a path may hold as well: a topic, a category, a label, an event."""
Content = Annotated[str, AfterValidator(_whole)]
"""A note's words, whatever Unicode they are."""
Text = Annotated[Content, AfterValidator(_without_nul)]
"""What people write about a note, a review or a policy: a column of text keeps it."""
Instant = Annotated[AwareDatetime, BeforeValidator(_text), AfterValidator(_in_utc)]
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

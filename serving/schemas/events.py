"""Events: what users do."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from features.schema import EVENT_KINDS
from serving.schemas.base import Answer, Body, Id, Instant, Name, Number
from serving.schemas.entries import EachOf, Malformed
from serving.schemas.problems import FieldOut

MAX_EVENTS: Final = 1_000


class EventIn(Body):
    """Something a user did, or that was shown to them."""

    event_id: Id
    user_id: Id
    event: Name = Field(description=f"One of {', '.join(EVENT_KINDS)}; any other name counts as other.")
    occurred_at: Instant
    note_id: Id | None = None
    value: Number | None = Field(None, description="Seconds for read, money for purchase, rating for like.")
    target_user_id: Id | None = None
    session_id: Id | None = None
    recommendation_id: Id | None = None


class Events(Body):
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

    events: Annotated[list[EventIn | Malformed], EachOf(EventIn, MAX_EVENTS)]


class EventResult(BaseModel):
    """What became of one event; ``code`` and ``detail`` say why it was not taken, ``errors`` what is malformed."""

    event_id: str | None
    status: Literal["accepted", "duplicate", "conflict", "rejected"]
    code: str | None
    detail: str | None
    warnings: list[str]
    errors: list[FieldOut] = []


class EventResults(Answer):
    """A result per event, in order. What is accepted is on disk."""

    results: list[EventResult]

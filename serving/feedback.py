"""What became of recommendations, as events in the journal."""

import hashlib
import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from serving.instants import SECOND_US
from serving.store.journal import Fact, FactType


class FeedbackKind(StrEnum):
    """What a user saw, followed, or does not want to see again."""

    EXPOSURE = "exposure"
    CLICK = "click"
    HIDE = "hide"


class Feedback(NamedTuple):
    """One piece of feedback; ``author_id`` is of a hide alone, ``occurred_at`` None for now."""

    kind: FeedbackKind
    user_id: str
    note_id: str | None
    author_id: str | None
    recommendation_id: str | None
    occurred_at: int | None
    feedback_id: str | None


_MINUTE_US: Final = 60 * SECOND_US

_EVENTS: Final[Mapping[FeedbackKind, str]] = {
    FeedbackKind.EXPOSURE: "impression",
    FeedbackKind.CLICK: "click",
    FeedbackKind.HIDE: "hide",
}


def event_of(feedback: Feedback, *, now: int) -> Fact:
    """The event that feedback is; without an id of its own, its id is all that it says and when.

    When is the minute it came in where it does not say: sent again it counts once, a later click is another.
    """
    return Fact(
        FactType.EVENT,
        feedback.user_id,
        now if feedback.occurred_at is None else feedback.occurred_at,
        received_at=0,
        event_id=feedback.feedback_id or _id_of(feedback, now),
        event=_EVENTS[feedback.kind],
        note_id=feedback.note_id,
        target_user_id=feedback.author_id,
        recommendation_id=feedback.recommendation_id,
    )


def _id_of(feedback: Feedback, now: int) -> str:
    minute = now // _MINUTE_US if feedback.occurred_at is None else None
    said = json.dumps([*feedback, minute], ensure_ascii=False).encode()
    return f"feedback-{hashlib.blake2b(said, digest_size=16).hexdigest()}"

"""What a recommender's run may be told."""

from typing import Annotated, Final, Literal

from pydantic import Field, field_validator

from features.schema import EVENT_KINDS
from training.config import Table
from training.recommend.cuts import Protocol

NOT_TAKEN_UP: Final = ("impression", "publish", "report", "hide")
"""Kinds of event that do not say that a user took a note up."""

ACTIVITY: Final = tuple(kind for kind in EVENT_KINDS if kind not in NOT_TAKEN_UP)


class Gates(Table):
    """What a model must reach, on the test, to be registered."""

    min_ndcg_difference: float = Field(default=0.0, strict=True)
    """Mean NDCG@10 less that of the better of tuned item-KNN and popularity."""
    min_coverage_ratio: float = Field(default=1.0, strict=True, ge=0)
    """Coverage over that of tuned item-KNN."""


class RecommendConfig(Table):
    """A recommender's settings."""

    protocol: Protocol = Protocol.LEAVE_ONE_OUT
    events: tuple[Annotated[str, Field(strict=True)], ...] = ACTIVITY
    """The kinds of event, ``other`` for any outside the vocabulary, that count as a user taking a note up."""
    sequence_model: Literal["auto", "off"] = "off"
    """Whether a sequence model is tried (``auto``): it is a source where validation shows that it pays."""
    n_neighbours: int = Field(default=50, strict=True, ge=1, le=500)
    """Neighbours a note keeps in each of the released tables."""
    seed: int = Field(default=7, strict=True, ge=0, lt=2**31)
    gates: Gates = Gates()

    @field_validator("events")
    @classmethod
    def _kinds(cls, events: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := sorted(set(events) - set(EVENT_KINDS)):
            raise ValueError(f"{', '.join(unknown)} not in the vocabulary ({', '.join(EVENT_KINDS)})")
        if not events:
            raise ValueError("expected at least one kind of event")
        return events

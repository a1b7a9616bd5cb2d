"""Lists of users."""

from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import BaseModel, Field

from models.policy.words import Stage, Tier
from serving.contacts import Withheld
from serving.instants import to_us
from serving.schemas.base import Answer, Body, Instant, Text
from serving.store.scores import Status

MAX_LISTED: Final = 100

Share = Annotated[float, Field(ge=0, le=1)]


class Wanted(Body):
    """Which users: at the longest horizon, at risk, and such as may be contacted, unless told otherwise."""

    horizon_days: Annotated[int, Field(ge=1, le=36_500)] | None = None
    status: Status = "scored"
    at_risk: bool | None = Field(None, description="Only those at risk: the default unless the probability is bounded.")
    with_withheld: bool = Field(False, description="Also those who may not be contacted; `withheld` says why.")
    tier: Tier | None = Field(None, description="Of this tier when KPIs were last rolled up.")
    stage: Stage | None = Field(None, description="In this stage when KPIs were last rolled up.")
    min_probability: Share | None = None
    max_probability: Share | None = None
    active_since: Instant | None = Field(None, description="Last active then or later.")
    active_before: Instant | None = Field(None, description="Last active before then.")
    changed_since: Instant | None = Field(None, description="Since when score and status are what they are.")

    def bounds(self) -> dict[str, Any]:
        """The bounds of a list by name."""
        values = {name: getattr(self, name) for name in Wanted.model_fields}
        return {name: to_us(value) if isinstance(value, datetime) else value for name, value in values.items()}


class WantedPage(Wanted):
    """Which page of which users."""

    limit: Annotated[int, Field(ge=1, le=MAX_LISTED)] = MAX_LISTED
    cursor: Text | None = Field(None, max_length=2_048, description="`next_cursor` of the page before this one.")


class ScoredBy(BaseModel):
    """The model that gave a score."""

    name: str
    version: str
    digest: str


class ListedUser(BaseModel):
    """A user's latest score; it is what it is since ``changed_at``, and was computed ``as_of``.

    ``withheld`` says why the user may not be contacted; it is empty for those who may.
    """

    user_id: str
    status: Status
    probability: float | None = Field(ge=0, le=1)
    threshold: float
    at_risk: bool | None
    withheld: list[Withheld]
    last_active_at: datetime | None
    changed_at: datetime
    as_of: datetime
    model: ScoredBy


class ListedUsers(Answer):
    """Users, most at risk first. A page may hold fewer than asked for, even none, and have more after it.

    ``horizon_days`` is null while nobody has been scored.
    """

    horizon_days: int | None
    results: list[ListedUser]
    has_more: bool
    next_cursor: str | None

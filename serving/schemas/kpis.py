"""KPIs: what the community does, day by day."""

from datetime import date, datetime

from pydantic import BaseModel, Field

from serving.schemas.base import Answer, Body, Instant, Text


class WantedKpis(Body):
    """Which days, by default the last 30 and today, and of which users."""

    since: Instant | None = None
    before: Instant | None = None
    segment: Text = Field("all", max_length=40, description="all, tier:<tier> or stage:<stage>")


class DefinitionOut(BaseModel):
    """A KPI in words for people."""

    name_zh: str
    name_en: str
    zh: str
    en: str


class KpiDay(BaseModel):
    """The KPIs of a day; null where there is nothing to divide by."""

    day: date
    values: dict[str, float | None]


class CohortOut(BaseModel):
    """Users whose first week began on ``week``: the share of them that was active that week, and each one after."""

    week: date
    n_users: int
    retention: list[float]


class CountsOut(BaseModel):
    """What was counted on a day: users by tier and stage, notes by tenth of quality, decision and flag."""

    day: date
    counts: dict[str, int]


class KpiReport(Answer):
    """KPIs of a segment; ``as_of`` is when they were rolled up, null before that was done at all."""

    as_of: datetime | None
    segment: str
    definitions: dict[str, DefinitionOut]
    days: list[KpiDay]
    cohorts: list[CohortOut]
    counts: list[CountsOut]

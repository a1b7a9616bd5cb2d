"""KPIs: what the community does, day by day."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request

from serving.deps import GuardedRoute, KpiReports
from serving.instants import to_datetime, to_us
from serving.kpis.definitions import DEFINITIONS
from serving.kpis.rolling import values_of
from serving.kpis.rollup import first_day_of
from serving.middleware import call_of
from serving.schemas.kpis import CohortOut, CountsOut, DefinitionOut, KpiDay, KpiReport, WantedKpis
from serving.store.kpis import Cohort

router = APIRouter(prefix="/v1", tags=["kpis"], route_class=GuardedRoute)

_DEFINITIONS: Final = {
    name: DefinitionOut(name_zh=one.name.zh, name_en=one.name.en, zh=one.text.zh, en=one.text.en)
    for name, one in DEFINITIONS.items()
}


@router.get("/kpis")
async def get_kpis(kpis: KpiReports, wanted: Annotated[WantedKpis, Query()], request: Request) -> KpiReport:
    """Give the KPIs of some days, of everyone or of those who are in a tier or stage now, with what each means."""
    since = to_us(wanted.since) if wanted.since else None
    before = to_us(wanted.before) if wanted.before else None
    found = await kpis.of(since=since, before=before, segment=wanted.segment)
    return KpiReport(
        **call_of(request).meta,
        as_of=None if found.as_of is None else to_datetime(found.as_of),
        segment=found.segment,
        definitions=_DEFINITIONS,
        days=[KpiDay(day=date_of(one.day), values=values_of(one.sums)) for one in found.days],
        cohorts=[_cohort(one) for one in found.cohorts],
        counts=[CountsOut(day=date_of(one.day), counts=dict(one.counts)) for one in found.counts],
    )


def date_of(day: int) -> date:
    """The date of a community day."""
    return (datetime.fromtimestamp(0, UTC) + timedelta(days=day)).date()


def _cohort(cohort: Cohort) -> CohortOut:
    n_users = cohort.n_active[0]
    retention = [n / n_users if n_users else 0.0 for n in cohort.n_active]
    return CohortOut(week=date_of(first_day_of(cohort.week)), n_users=n_users, retention=retention)

"""The overview 概览: the community's KPIs, day by day."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Final

from starlette.responses import Response

from features.state import DAY_US
from models.policy.words import WORDS, Stage, Tier
from models.quality.reasons import LABEL_TEXTS
from serving.console.bars import bars_of
from serving.console.charts import line_chart
from serving.console.pages import HEADERS, Page, Pages
from serving.errors import NotFoundError
from serving.kpis.definitions import DEFINITIONS
from serving.kpis.rolling import ALL, SEGMENTS, Kpis, values_of
from serving.kpis.rollup import first_day_of
from serving.store.reviewers import Permission

PAGES: Final = Pages()
RANGES: Final = (30, 90, 180, 365)
_SHARES: Final = ("engagement_rate", "click_rate", "conversion")
_CHARTS: Final[Mapping[str, Sequence[str]]] = {
    "active": ("active_users", "weekly_active_users", "monthly_active_users"),
    "shares": ("engagement_rate", "click_rate", "conversion"),
    "time": ("use_minutes",),
    "new": ("new_users", "publishes"),
}
_CARDS: Final = ("active_users", "monthly_active_users", "new_users", "use_minutes", *_SHARES, "spent")
_N_COHORTS: Final = 12
_N_FLOWS: Final = 12


@PAGES.page("/overview", needs=Permission.KPIS)
async def show_overview(page: Page) -> Response:
    """The board."""
    n_days, segment, kpis = await _asked(page)
    summary = await page.services.summaries.of(since=None, before=None)
    counts = kpis.latest
    return page.render(
        "overview.html",
        kpis=kpis,
        n_days=n_days,
        ranges=RANGES,
        segment=segment,
        segments={one: _segment(page, one) for one in SEGMENTS},
        cards=_cards(kpis),
        shares=_SHARES,
        definitions=DEFINITIONS,
        charts=_CHARTS,
        bars=bars_of(page.language, counts),
        cohorts=[
            (first_day_of(one.week), one.n_active[0], [n / one.n_active[0] for n in one.n_active[:_N_COHORTS]])
            for one in kpis.cohorts[-_N_COHORTS:]
            if one.n_active[0]
        ],
        counts=counts,
        flows=_flows(page, counts),
        flagged={
            page.language.text(LABEL_TEXTS[name]) if name in LABEL_TEXTS else name: n
            for name, n in _of(counts, "flagged").items()
        },
        decisions=_of(counts, "decision"),
        summary=summary,
        uplifts=await page.services.uplifts.of(since=None, before=None, window_days=14),
        live=list(page.services.slots.live()),
    )


@PAGES.page("/overview/charts/{name}.svg", needs=Permission.KPIS)
async def draw(page: Page) -> Response:
    """A chart of the board."""
    name = page.path("name")
    _, _, kpis = await _asked(page)
    said = page.language
    if name in _CHARTS:
        whole = kpis.days[:-1]  # today is not over
        days = [said.short_day(one.day) for one in whole]
        values = [values_of(one.sums) for one in whole]
        series = {said.text(DEFINITIONS[own].name): [one[own] for one in values] for own in _CHARTS[name]}
        drawn = line_chart(days, series)
    elif bars := bars_of(said, kpis.latest).get(name):
        drawn = bars.drawn()
    else:
        raise NotFoundError("there is no such chart")
    return Response(drawn, media_type="image/svg+xml", headers={**HEADERS, "Content-Security-Policy": _OF_IMAGES})


_OF_IMAGES: Final = "default-src 'none'; style-src 'unsafe-inline'"
"""The chart's own style lies within it, and nothing in it runs."""


@PAGES.page("/overview.csv", needs=Permission.KPIS)
async def export(page: Page) -> Response:
    """The days as CSV."""
    _, segment, kpis = await _asked(page)
    await page.services.audit.record_export("kpis", detail=segment)
    written = io.StringIO(newline="")
    rows = csv.writer(written)
    rows.writerow(["day", *DEFINITIONS])
    for one in kpis.days:
        values = values_of(one.sums)
        rows.writerow([page.language.day(one.day), *(values[name] for name in DEFINITIONS)])
    headers = {**HEADERS, "Content-Disposition": 'attachment; filename="kpis.csv"'}
    return Response(written.getvalue().encode("utf-8-sig"), media_type="text/csv; charset=utf-8", headers=headers)


async def _asked(page: Page) -> tuple[int, str, Kpis]:
    """The stretch of days and the segment that the query names, and what they came to."""
    days, segment = page.asked("days"), page.asked("segment")
    n_days = int(days) if days in {str(one) for one in RANGES} else RANGES[0]
    segment = segment if segment in SEGMENTS else ALL
    since = page.services.clock() - n_days * DAY_US
    return n_days, segment, await page.services.kpis.of(since=since, before=None, segment=segment)


def _cards(kpis: Kpis) -> list[tuple[str, float | None, float | None]]:
    """Each KPI of the last whole day with any activity, and how it changed against a week before, as a share."""
    whole = list(kpis.days[:-1])
    while whole and not whole[-1].sums["active_users"]:
        whole.pop()
    if not whole:
        return []
    last = values_of(whole[-1].sums)
    before = values_of(whole[-8].sums) if len(whole) > 7 else {}
    return [(name, last[name], _change(last[name], before.get(name))) for name in _CARDS]


def _change(now: float | None, before: float | None) -> float | None:
    return None if now is None or not before else now / before - 1


def _flows(page: Page, counts: Mapping[str, int]) -> list[tuple[str, str, int]]:
    """From where to where users went on the day, the most first."""
    moves = sorted(((name, n) for name, n in _of(counts, "flow").items()), key=lambda one: (-one[1], one[0]))
    found = []
    for name, n in moves[:_N_FLOWS]:
        kind, _, way = name.partition(":")
        was, _, now = way.partition(">")
        found.append((_segment(page, f"{kind}:{was}"), _segment(page, f"{kind}:{now}"), n))
    return found


def _segment(page: Page, name: str) -> str:
    kind, _, value = name.partition(":")
    if kind == ALL:
        return page.language.say("全部用户")
    return page.language.text(WORDS[Tier(value) if kind == "tier" else Stage(value)])


def _of(counts: Mapping[str, int], kind: str) -> dict[str, int]:
    return {name.partition(":")[2]: n for name, n in sorted(counts.items()) if name.startswith(f"{kind}:")}

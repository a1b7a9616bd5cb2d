"""Users 用户: who is about to leave, and all that is known of one of them."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from starlette.responses import Response, StreamingResponse

from features.ids import is_id
from features.schema import IMPRESSION
from features.state import UserState, community_day
from models.policy.words import WORDS, Stage, Tier
from serving.audience import csv_of, segments_csv_of
from serving.console.pages import HEADERS, Page, Pages
from serving.cursor import BY_ID, read_cursor, write_cursor
from serving.errors import InvalidError, NoModelError, ServingError
from serving.recommend import Asked, reason_of
from serving.store.reviewers import Role

PAGES: Final = Pages()
_AT_RISK: Final = {"status": "scored"}
_LISTED: Final = 50
_N_WEEKS: Final = 26
_N_SHOWN: Final = 10
_LEVELS: Final = (1, 3, 8, 20)


class CalendarDay(NamedTuple):
    """A day of the activity calendar: how much the user did, and how dark it is shown (0 to 4)."""

    day: int
    n: int
    level: int


@PAGES.page("/users")
async def list_users(page: Page) -> Response:
    """Who is most likely to leave, by the last ``score-all``, or who is in a tier or stage; and a search by id."""
    tier, stage = _segment(page)
    chosen: dict[str, Any] = {
        "tier": tier,
        "stage": stage,
        "tiers": {one: page.language.text(WORDS[one]) for one in Tier},
        "stages": {one: page.language.text(WORDS[one]) for one in Stage},
        "quote": _quoted,
    }
    if tier is None and stage is None:
        listed = await page.services.lists.page(_AT_RISK, cursor=page.asked("cursor") or None, limit=_LISTED)
        return page.render("users.html", listed=listed, members=None, next_cursor=listed.next_cursor, **chosen)
    query = (str(tier), str(stage))
    cursor = page.asked("cursor")
    (after,) = read_cursor(query, cursor, BY_ID) if cursor else ("",)
    found = await page.services.kpis.users(tier=tier, stage=stage, after=after, limit=_LISTED + 1)
    members, has_more = found[:_LISTED], len(found) > _LISTED
    next_cursor = write_cursor(query, (members[-1].user_id,)) if has_more else None
    return page.render("users.html", listed=None, members=members, next_cursor=next_cursor, **chosen)


@PAGES.page("/users/find", method="POST")
async def find_user(page: Page) -> Response:
    """To the page of a user: their id is part of no query."""
    user_id = page.field("user_id").strip()
    if not is_id(user_id):
        raise InvalidError(page.language.say("请填写用户 ID"))
    return page.go(f"/console/users/{_quoted(user_id)}")


@PAGES.page("/users.csv")
async def export_users(page: Page) -> Response:
    """The list as CSV."""
    tier, stage = _segment(page)
    await page.services.audit.record_export("users", detail=" ".join(one for one in (tier, stage) if one))
    if tier is None and stage is None:
        rows = csv_of(await page.services.lists.everyone(_AT_RISK), page.services.workers)
    else:
        rows = segments_csv_of(page.services.kpis.everyone(tier=tier, stage=stage), page.services.workers)
    headers = {**HEADERS, "Content-Disposition": 'attachment; filename="users.csv"'}
    return StreamingResponse(rows, media_type="text/csv; charset=utf-8", headers=headers)


@PAGES.page("/users/{user_id}")
async def show_user(page: Page) -> Response:
    """All that is known of a user."""
    user_id = page.path("user_id")
    held = await page.services.rights.held(user_id)
    assigned = await page.services.assigning.of_user(user_id, limit=_N_SHOWN)
    return page.render(
        "user.html",
        user_id=user_id,
        held=held,
        calendar=_calendar(held.state.encoded if held.state else None, page.services.clock()),
        churn=await _churn(page, user_id),
        assigned=assigned,
        recommended=await _recommended(page, user_id),
        interests=(await page.services.interests.of(user_id))[:_N_SHOWN],
        is_admin=page.may(Role.ADMIN),
        quoted=_quoted(user_id),
    )


@PAGES.page("/users/{user_id}/erase", method="POST", role=Role.ADMIN)
async def erase_user(page: Page) -> Response:
    """Erase a user for good, where the id was typed once more."""
    user_id = page.path("user_id")
    if page.field("confirm") != user_id:
        raise InvalidError(page.language.say("请完整输入该用户的 ID 以确认删除"))
    await page.services.rights.erase(user_id)
    return page.go("/console/users")


def _segment(page: Page) -> tuple[Tier | None, Stage | None]:
    """The tier and the stage that the query names."""
    tier = next((one for one in Tier if one == page.asked("tier")), None)
    return tier, next((one for one in Stage if one == page.asked("stage")), None)


async def _churn(page: Page, user_id: str) -> dict[str, Any] | None:
    """Scores, tier, stage and actions as of now; None while no model is live."""
    try:
        answer = await page.services.churn.explain([user_id], as_of=None, horizon_days=None)
    except NoModelError:
        return None
    except ServingError:
        answer = await page.services.churn.score([user_id], as_of=None, horizon_days=None)
    settings, outcome = answer.model.scorer.settings, answer.outcomes[0]
    policy = answer.policy.policy
    tier, stage = policy.tiers[outcome.tier], policy.stages[outcome.stage]
    explanation = next(iter(answer.explanations), None)
    probabilities: Sequence[float] = answer.scores.probability[0].tolist()
    return {
        "status": answer.scores.status[0].value,
        "horizons": [*zip(settings.horizon_days, probabilities, settings.thresholds, strict=True)],
        "reasons": explanation.reasons if explanation else (),
        "tier": page.language.text(WORDS[Tier(tier.outcome)]),
        "tier_why": page.language.text(tier.text),
        "stage": page.language.text(WORDS[Stage(stage.outcome)]),
        "stage_why": page.language.text(stage.text),
        "actions": [one for one, is_on in zip(answer.policy.actions, outcome.eligible, strict=True) if is_on],
        "withheld": outcome.withheld,
        "version": answer.model.pointer.version,
    }


async def _recommended(page: Page, user_id: str) -> list[tuple[str, str, str]]:
    """What the user would see next: title, source and why; nothing of it is put on record."""
    asked = Asked(user_id, _N_SHOWN, "console", None, None, (), None, None)
    try:
        feed = await page.services.recommending.recommend(asked, on_record=False)
    except NoModelError:
        return []
    titles = await page.services.notes.titles([one.note_id for one in feed.shown])
    return [
        (titles.get(one.note_id) or one.note_id, one.note.source, page.language.text(reason_of(one, None)[1]))
        for one in feed.shown
    ]


def _calendar(encoded: bytes | None, now: int) -> list[list[CalendarDay]]:
    """The last weeks, each from Monday, by what the user chose to do."""
    counts: dict[int, int] = {}
    for (day, kind), (n, _) in (UserState.decode(encoded).tallies if encoded else {}).items():
        if kind != IMPRESSION:
            counts[day] = counts.get(day, 0) + n
    today = community_day(now - 1)
    first = today - (today + 3) % 7 - 7 * (_N_WEEKS - 1)
    return [
        [_day(day, counts.get(day, 0)) for day in range(first + 7 * week, min(first + 7 * week + 7, today + 1))]
        for week in range(_N_WEEKS)
    ]


def _day(day: int, n: int) -> CalendarDay:
    return CalendarDay(day, n, sum(n >= level for level in _LEVELS))


def _quoted(user_id: str) -> str:
    return quote(user_id, safe="")

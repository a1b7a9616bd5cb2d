"""Users 用户: who is about to leave, and all that is known of one of them."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from starlette.responses import Response, StreamingResponse

from features.ids import is_id
from features.schema import IMPRESSION
from features.state import UserState, community_day
from features.wording import Text
from models.policy.words import WORDS, Stage, Tier
from serving.audience import attachment, csv_of, members_csv_of
from serving.console.pages import HEADERS, Page, Pages
from serving.contacts import Withheld
from serving.cursor import BY_ID, read_cursor, write_cursor
from serving.errors import InvalidError, NoModelError, ServingError
from serving.recommend import Asked, reason_of
from serving.store.reviewers import Permission

PAGES: Final = Pages()
_LISTED: Final = 50
WHY_NOT: Final = {
    Withheld.OPTED_OUT: Text("关闭了个性化", "opted out of personalisation"),
    Withheld.MINOR: Text("未成年", "a minor"),
    Withheld.HOLDOUT: Text("留白组", "held out"),
    Withheld.CONTROL: Text("对照组", "control arm"),
    Withheld.COOLDOWN: Text("冷却期内", "within a cooldown"),
}
"""Why a user may not be contacted, for people."""
_N_WEEKS: Final = 26
_N_SHOWN: Final = 10
_LEVELS: Final = (1, 3, 8, 20)


class CalendarDay(NamedTuple):
    """A day of the activity calendar: how much the user did, and how dark it is shown (0 to 4)."""

    day: int
    n: int
    level: int


@PAGES.page("/users", needs=Permission.USERS)
async def list_users(page: Page) -> Response:
    """Who is most likely to leave, by the last ``score-all``, or who is in a tier or stage; and a search by id."""
    tier, stage = _segment(page)
    with_withheld = page.asked("withheld") == "1"
    chosen: dict[str, Any] = {
        "withheld": with_withheld,
        "why_not": page.language.text,
        "why": WHY_NOT,
        "tier": tier,
        "stage": stage,
        "tiers": {one: page.language.text(WORDS[one]) for one in Tier},
        "stages": {one: page.language.text(WORDS[one]) for one in Stage},
        "quote": _quoted,
    }
    if tier is None and stage is None:
        listed = await page.services.lists.page(_at_risk(page), cursor=page.asked("cursor") or None, limit=_LISTED)
        return page.render("users.html", listed=listed, members=None, next_cursor=listed.next_cursor, **chosen)
    query = (str(tier), str(stage), with_withheld)
    cursor = page.asked("cursor")
    (after,) = read_cursor(query, cursor, BY_ID) if cursor else ("",)
    members, after = await page.services.members.page(
        tier, stage, with_withheld=with_withheld, after=after, limit=_LISTED
    )
    next_cursor = write_cursor(query, (after,)) if after else None
    return page.render("users.html", listed=None, members=members, next_cursor=next_cursor, **chosen)


@PAGES.page("/users/find", method="POST", needs=Permission.USERS)
async def find_user(page: Page) -> Response:
    """To the page of a user: their id is part of no query."""
    user_id = page.field("user_id").strip()
    if not is_id(user_id):
        raise InvalidError(page.language.say("请填写用户 ID"))
    return page.go(f"/console/users/{_quoted(user_id)}")


@PAGES.page("/users.csv", needs=Permission.USERS)
async def export_users(page: Page) -> Response:
    """The list as CSV."""
    tier, stage = _segment(page)
    await page.services.audit.record_export("users", detail=" ".join(one for one in (tier, stage) if one))
    if tier is None and stage is None:
        rows = csv_of(await page.services.lists.everyone(_at_risk(page)), page.services.workers)
    else:
        with_withheld = page.asked("withheld") == "1"
        members = page.services.members.everyone(tier, stage, with_withheld=with_withheld)
        rows = members_csv_of(members, page.services.workers)
    name = page.language.say("流失名单") if tier is None and stage is None else page.language.say("用户名单")
    headers = {**HEADERS, **attachment(name, page.services.clock())}
    return StreamingResponse(rows, media_type="text/csv; charset=utf-8", headers=headers)


@PAGES.page("/users/{user_id}", needs=Permission.USERS)
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
        is_admin=page.may(Permission.ADMIN),
        quoted=_quoted(user_id),
    )


@PAGES.page("/users/{user_id}/erase", method="POST", needs=Permission.ADMIN)
async def erase_user(page: Page) -> Response:
    """Erase a user for good, where the id was typed once more."""
    user_id = page.path("user_id")
    if page.field("confirm") != user_id:
        raise InvalidError(page.language.say("请完整输入该用户的 ID 以确认删除"))
    await page.services.rights.erase(user_id)
    return page.go("/console/users")


def _at_risk(page: Page) -> dict[str, Any]:
    """Those at risk who may be contacted; where asked for, the others too."""
    return {"status": "scored", "at_risk": True, "with_withheld": page.asked("withheld") == "1"}


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

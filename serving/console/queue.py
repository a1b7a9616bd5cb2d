"""The queue 队列: what waits, and what was decided, with filters, and for leads many decisions at once."""

from typing import Final, TypeVar

from starlette.responses import Response

from models.policy.words import WORDS, Tier
from models.quality.reasons import LABEL_TEXTS
from serving.console.desk import CHOICES
from serving.console.pages import Page, Pages
from serving.cursor import BY_RANK, read_cursor, write_cursor
from serving.errors import InvalidError
from serving.reviews.desk import Decided
from serving.store.reviewers import Role
from serving.store.reviews import Origin, Outcome, ReviewQuery, ReviewState

PAGES: Final = Pages()
_LIMIT: Final = 30

E = TypeVar("E", ReviewState, Origin, Tier)


@PAGES.page("/queue")
async def show_queue(page: Page) -> Response:
    """Reviews in a state, a page at a time."""
    query = ReviewQuery(
        state=_one_of(page, "state", ReviewState) or ReviewState.OPEN,
        origin=_one_of(page, "origin", Origin),
        tier=_one_of(page, "tier", Tier),
        label=page.asked("label") or None,
        category=page.asked("category") or None,
    )
    cursor = page.asked("cursor")
    after = read_cursor(query, cursor, BY_RANK) if cursor else None
    found = await page.services.desk.page(query, after=after, limit=_LIMIT + 1)
    shown, has_more = found[:_LIMIT], len(found) > _LIMIT
    names = {one.reviewer_id: one.name for one in await page.services.reviewers.all()}
    return page.render(
        "queue.html",
        query=query,
        reviews=[one for _, one in shown],
        next_cursor=write_cursor(query, (shown[-1][0], shown[-1][1].review_id)) if has_more else None,
        names=names,
        backlog=await page.services.desk.backlog(),
        states=list(ReviewState),
        origins=list(Origin),
        tiers={tier: page.language.text(WORDS[tier]) for tier in Tier},
        is_lead=page.may(Role.LEAD),
        called={name: page.language.text(text) for name, text in LABEL_TEXTS.items()},
    )


@PAGES.page("/queue/decide", method="POST", role=Role.LEAD)
async def decide_many(page: Page) -> Response:
    """Decide alike about the reviews that are ticked, and go on with the list."""
    choice = CHOICES.get(page.field("choice"))
    if choice is None or choice.outcome not in {Outcome.CONFIRM, Outcome.OVERTURN}:
        raise InvalidError(page.language.say("没有这个选项"))
    decided = Decided(choice.outcome, choice.verdict, {}, choice.reason, page.field("text")[:2_000])
    await page.services.desk.decide_many(page.who, page.form.get("review", ())[:_LIMIT], decided)
    return page.go("/console/queue")


def _one_of(page: Page, name: str, kind: type[E]) -> E | None:
    asked = page.asked(name)
    return next((one for one in kind if one == asked), None)

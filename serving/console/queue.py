"""The queue 队列: what waits, and what was decided, with filters; each to be read, and for leads decided in numbers."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, TypeVar
from urllib.parse import quote, urlencode

from starlette.datastructures import QueryParams
from starlette.responses import Response

from models.policy.words import WORDS, Decision, Tier
from models.quality.reasons import LABEL_TEXTS
from serving.console.desk import CHOICES, Choice, last_of, of_note
from serving.console.pages import Page, Pages
from serving.cursor import BY_RANK, read_cursor, write_cursor
from serving.errors import InvalidError, NotFoundError
from serving.reviews.desk import Decided
from serving.store.notes import StoredNote
from serving.store.reviewers import Permission
from serving.store.reviews import Origin, Outcome, Review, ReviewQuery, ReviewState

PAGES: Final = Pages()
QUEUE: Final = "/console/queue"
_LIMIT: Final = 30
_N_CHARS: Final = 60

E = TypeVar("E", ReviewState, Origin, Tier)


class Row(NamedTuple):
    """A review in a list, with the title and the first line of its note."""

    review: Review
    title: str
    line: str
    probability: float | None


@PAGES.page("/queue", needs=Permission.REVIEW)
async def show_queue(page: Page) -> Response:
    """Reviews in a state, a page at a time."""
    return await _queue(page, page.request.query_params)


@PAGES.page("/queue/{review_id}", needs=Permission.REVIEW)
async def show_review(page: Page) -> Response:
    """A review with its note, to be read: nothing is decided here."""
    review = await page.services.desk.get(page.path("review_id"))
    names = await _names(page)
    return page.render("review.html", review=review, names=names, is_lead=True, **await of_note(page, review))


@PAGES.page("/queue/decide", method="POST", needs=Permission.LEAD)
async def decide_many(page: Page) -> Response:
    """Decide alike about the reviews that are ticked, once that was confirmed, and go on with the list."""
    choice = CHOICES.get(page.field("choice"))
    if choice is None or choice.outcome not in {Outcome.CONFIRM, Outcome.OVERTURN}:
        raise InvalidError(page.language.say("没有这个选项"))
    asked = QueryParams(page.field("asked"))
    ticked = [one for given in page.form.get("review", ()) for one in given.split()][:_LIMIT]
    if not ticked:
        return await _queue(page, asked, problem=page.language.say("请先勾选要处理的笔记"))
    if not page.field("sure"):
        return await _confirmed(page, choice, ticked, asked)
    decided = Decided(choice.outcome, choice.verdict, {}, choice.reason, page.field("text")[:2_000])
    n_decided = await page.services.desk.decide_many(page.who, ticked, decided)
    left = {"left": len(ticked) - n_decided} if n_decided < len(ticked) else {}
    return page.go(f"{QUEUE}?{urlencode(_filters(_query(page, asked)) | left)}")


async def _confirmed(page: Page, choice: Choice, ticked: Sequence[str], asked: QueryParams) -> Response:
    """The question whether all these are to be decided so, with what becomes of each."""
    reviews = [one for review_id in ticked if (one := await _kept(page, review_id))]
    verdict_of = page.services.desk.verdict_of
    verdicts = [Decision(choice.verdict or verdict_of(one, choice.outcome)) for one in reviews]
    return page.render(
        "queue_confirm.html",
        rows=[*zip(await _rows(page, reviews), verdicts, strict=True)],
        counts=Counter(verdicts).most_common(),
        choice=page.field("choice"),
        ticked=" ".join(one.review_id for one in reviews),
        asked=urlencode(_filters(_query(page, asked))),
    )


async def _kept(page: Page, review_id: str) -> Review | None:
    try:
        return await page.services.desk.get(review_id)
    except NotFoundError:
        return None


async def _queue(page: Page, asked: QueryParams, *, problem: str = "") -> Response:
    query = _query(page, asked)
    cursor = asked.get("cursor", "")
    after = read_cursor(query, cursor, BY_RANK) if cursor else None
    found = await page.services.desk.page(query, after=after, limit=_LIMIT + 1)
    shown, has_more = found[:_LIMIT], len(found) > _LIMIT
    left = asked.get("left", "")
    return page.render(
        "queue.html",
        status=422 if problem else 200,
        problem=problem,
        n_left=int(left) if left.isascii() and left.isdigit() and len(left) < 4 else 0,
        query=query,
        asked=urlencode(_filters(query)),
        rows=await _rows(page, [one for _, one in shown]),
        next_cursor=write_cursor(query, (shown[-1][0], shown[-1][1].review_id)) if has_more else None,
        names=await _names(page),
        last=await last_of(page),
        backlog=await page.services.desk.backlog(),
        states=list(ReviewState),
        origins=list(Origin),
        tiers={tier: page.language.text(WORDS[tier]) for tier in Tier},
        is_lead=page.may(Permission.LEAD),
        called={name: page.language.text(text) for name, text in LABEL_TEXTS.items()},
        quote=lambda user_id: quote(user_id, safe=""),
    )


def _query(page: Page, asked: QueryParams) -> ReviewQuery:
    if any("\0" in value for value in asked.values()):
        raise InvalidError("text holds no U+0000")
    return ReviewQuery(
        state=_one_of(asked, "state", ReviewState) or ReviewState.OPEN,
        origin=_one_of(asked, "origin", Origin),
        tier=_one_of(asked, "tier", Tier),
        label=asked.get("label") or None,
        category=asked.get("category") or None,
        decided_by=page.who.reviewer_id if asked.get("mine") else None,
    )


def _filters(query: ReviewQuery) -> dict[str, str]:
    """What the address of the list says of a query."""
    named = {name: getattr(query, name) for name in ("state", "origin", "tier", "label", "category")}
    return {name: str(value) for name, value in named.items() if value} | ({"mine": "1"} if query.decided_by else {})


async def _rows(page: Page, reviews: Sequence[Review]) -> list[Row]:
    notes = await page.services.notes.known([one.note_id for one in reviews])
    return [_row(one, notes) for one in reviews]


def _row(review: Review, notes: Mapping[str, StoredNote]) -> Row:
    said = review.labels.get(review.label or "")
    stored = notes.get(review.note_id)
    if stored is None:
        return Row(review, "", "", said and said["probability"])
    line = next((one.strip() for one in stored.note.body.splitlines() if one.strip()), "")
    return Row(review, stored.note.title, line[:_N_CHARS], said and said["probability"])


async def _names(page: Page) -> dict[str, str]:
    return {one.reviewer_id: one.name for one in await page.services.reviewers.all()}


def _one_of(asked: QueryParams, name: str, kind: type[E]) -> E | None:
    return next((one for one in kind if one == asked.get(name)), None)

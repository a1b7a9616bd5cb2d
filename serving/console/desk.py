"""The review desk 审核台: one note at a time, what speaks against it, and what each choice does."""

from typing import Any, Final, NamedTuple

from starlette.responses import Response

from models.policy.words import WORDS, Decision, Tier
from models.quality.reasons import LABEL_TEXTS
from serving.console.marks import pieces
from serving.console.pages import Page, Pages
from serving.console.refusals import refusal
from serving.errors import ConflictError, NotFoundError, ServingError
from serving.instants import SECOND_US
from serving.quality import NoteScore
from serving.reviews.desk import MOST_COUNTED, UNDO_S, Decided, ReasonCode
from serving.store.reviewers import Permission
from serving.store.reviews import Origin, Outcome, Review, ReviewQuery, ReviewState

PAGES: Final = Pages()
DESK: Final = "/console/reviews"
_N_HISTORY: Final = 5
_N_NEAR: Final = 2
_N_TITLE: Final = 24


class Choice(NamedTuple):
    """A button: its key, the outcome and what becomes of the note (None: what follows from the outcome), and why if the
    reviewer does not say.
    """

    key: str
    outcome: Outcome
    verdict: Decision | None
    reason: ReasonCode


CHOICES: Final = {
    "confirm": Choice("1", Outcome.CONFIRM, None, ReasonCode.OTHER_HARM),
    "overturn": Choice("2", Outcome.OVERTURN, None, ReasonCode.SOUND),
    "correct": Choice("3", Outcome.CORRECT, None, ReasonCode.UNCLEAR),
    "escalate": Choice("4", Outcome.ESCALATE, None, ReasonCode.UNCLEAR),
    "block": Choice("5", Outcome.CONFIRM, Decision.BLOCK, ReasonCode.OTHER_HARM),
}


@PAGES.page("/reviews", needs=Permission.REVIEW)
async def show_desk(page: Page) -> Response:
    """The review that this person has, or an invitation to take one."""
    return await _desk(page)


@PAGES.page("/reviews/claim", method="POST", needs=Permission.REVIEW)
async def claim(page: Page) -> Response:
    """Take the next review."""
    await page.services.desk.next(page.who)
    return page.go(DESK)


@PAGES.page("/reviews/{review_id}/decide", method="POST", needs=Permission.REVIEW)
async def decide(page: Page) -> Response:
    """Decide, and take the next; where that can't be done the page says why, with what was written."""
    desk, review_id = page.services.desk, page.path("review_id")
    try:
        review = await desk.get(review_id)
        await desk.decide(review_id, page.who, page.field("lease"), _decided(page, review), revision=_revision(page))
    except ServingError as error:
        return await _desk(page, problem=error)
    await desk.next(page.who)
    return page.go(DESK)


@PAGES.page("/reviews/{review_id}/renew", method="POST", needs=Permission.REVIEW)
async def renew(page: Page) -> Response:
    """Keep the review a while longer."""
    await page.services.desk.renew(page.path("review_id"), page.who, page.field("lease"))
    return page.go(DESK)


@PAGES.page("/reviews/{review_id}/skip", method="POST", needs=Permission.REVIEW)
async def skip(page: Page) -> Response:
    """Give the review back, and take another; what was written goes with it only when that was asked for twice."""
    review_id = page.path("review_id")
    if _is_written(page):
        return await _desk(page, leaves=True)
    try:
        await page.services.desk.release(review_id, page.who, page.field("lease"))
    except ServingError as error:
        return await _desk(page, problem=error)
    await page.services.desk.next(page.who, but_not=review_id)
    return page.go(DESK)


@PAGES.page("/reviews/{review_id}/undo", method="POST", needs=Permission.REVIEW)
async def undo(page: Page) -> Response:
    """Take the last decision back; the review at hand stays this person's, and comes after it."""
    if _is_written(page):
        return await _desk(page, leaves=True)
    try:
        undone = await page.services.desk.undo(page.path("review_id"), page.who)
    except ServingError as error:
        return await _desk(page, problem=error)
    return page.go("/console/queue" if undone.state is ReviewState.OPEN else DESK)  # a batch waits again


def _is_written(page: Page) -> bool:
    """Whether the form of the review at hand holds words that would be lost, and nobody said that they may be."""
    return not page.field("leave") and bool(page.field("text").strip() or page.field("reason"))


async def _desk(page: Page, *, problem: ServingError | None = None, leaves: bool = False) -> Response:
    desk = page.services.desk
    review = await desk.held(page.who)
    facts = await _facts(page, review) if review else None
    is_same = review is not None and page.field("about") in {"", review.review_id}
    shown: dict[str, Any] = {
        "review": review,
        "problem": problem and refusal(page.language, problem),
        "leaves": leaves,
        "written": page.field("text"),
        "is_same": is_same,
        "chosen": page.form.get("label") if is_same and page.field("about") else None,
        "reason_chosen": page.field("reason"),
        "last": await last_of(page),
        "n_today": await desk.n_today(page.who),
        "waiting": await desk.waiting(page.who),
        "most": MOST_COUNTED,
        "reasons": list(ReasonCode),
        "is_lead": page.who.is_lead,
    }
    status = 409 if problem or leaves else 200
    if facts is None:
        return page.render("desk_empty.html", status=status, **shown)
    return page.render("desk.html", status=status, **shown, **facts)


async def _facts(page: Page, review: Review) -> dict[str, Any] | None:
    """All that helps to decide about a note; None for one that was deleted just now."""
    try:
        return await of_note(page, review)
    except NotFoundError:
        return None


class Last(NamedTuple):
    """What was last decided: any of its reviews, how many there are, the title of a single one, what became of them,
    and for how many seconds it can be taken back.
    """

    review_id: str
    n: int
    title: str
    verdict: str | None
    left_s: int


async def last_of(page: Page) -> Last | None:
    """What this person last decided, while they may take it back."""
    done = await page.services.desk.last(page.who)
    if not done:
        return None
    first = done[0]
    done_at = first.decided_at or (first.escalation.at if first.escalation else 0)
    left_s = max(0, UNDO_S - (page.services.clock() - done_at) // SECOND_US)
    note = (await page.services.notes.known([first.note_id])).get(first.note_id)
    verdict = first.judgement.verdict if first.judgement else None
    return Last(
        first.review_id, len(done), (note.note.title or note.note.body)[:_N_TITLE] if note else "", verdict, left_s
    )


async def of_note(page: Page, review: Review) -> dict[str, Any]:
    """All that helps to decide about a note."""
    stored = await page.services.notes.get(review.note_id)
    score = await _score(page, review.note_id)
    reasons = score.judged.reasons if score and score.judged else []
    near = list(score.near or [])[:_N_NEAR] if score else []
    known = await page.services.notes.known([one.note_id for one in near])
    is_blind = review.origin in {Origin.APPEAL, Origin.SECOND_OPINION}
    return {
        "note": stored.note,
        "title": pieces(stored.note.title, "title", reasons),
        "body": pieces(stored.note.body, "body", reasons),
        "general": [one for one in reasons if one.field is None],
        "labels": sorted(review.labels.items(), key=lambda one: -one[1]["probability"]),
        "called": {name: page.language.text(text) for name, text in LABEL_TEXTS.items()},
        "tier": page.language.text(WORDS[Tier(review.tier)]) if review.tier else "—",
        "near": [(one, known[one.note_id]) for one in near if one.note_id in known],
        "history": [
            one for one in await _history(page, review.author_id) if not (is_blind and one.note_id == review.note_id)
        ],
        "escalated_by": await _name(page, review.escalation.by) if review.escalation else "",
        "choices": {name: (choice, _does(page, review, choice)) for name, choice in CHOICES.items()},
    }


async def _name(page: Page, reviewer_id: str) -> str:
    return next((one.name for one in await page.services.reviewers.all() if one.reviewer_id == reviewer_id), "—")


async def _history(page: Page, author_id: str | None) -> list[Review]:
    """What was last decided about an author's notes; nothing of one who is unknown."""
    if author_id is None:
        return []
    query = ReviewQuery(state=ReviewState.DECIDED, author_id=author_id)
    return [one for _, one in await page.services.desk.page(query, after=None, limit=_N_HISTORY)]


async def _score(page: Page, note_id: str) -> NoteScore | None:
    """What the model says now, to show where; None where no model can be asked."""
    try:
        answer = await page.services.quality.score([note_id], explain=False)
    except ServingError:
        return None
    return next((one for one in answer.results if isinstance(one, NoteScore)), None)


def _does(page: Page, review: Review, choice: Choice) -> str:
    """What a choice does, before it is made."""
    if choice.outcome is Outcome.ESCALATE and page.who.is_lead:
        return page.language.say("您就是组长，请直接决定")
    if choice.outcome is Outcome.ESCALATE:
        return page.language.say("交给组长决定")
    if choice.outcome is Outcome.CORRECT:
        return page.language.say("按勾选的标签；仍有违规则限流")
    verdict = choice.verdict or page.services.desk.verdict_of(review, choice.outcome)
    return page.language.say(f"笔记将：{_VERDICTS[Decision(verdict)]}")


_VERDICTS: Final = {
    Decision.PROMOTE: "推荐",
    Decision.PASS: "正常展示",
    Decision.LIMIT: "限流",
    Decision.REVIEW: "待审",
    Decision.BLOCK: "屏蔽",
}


def _revision(page: Page) -> int:
    revision = page.field("revision")
    return int(revision) if revision.isascii() and revision.isdigit() else 0


def _decided(page: Page, review: Review) -> Decided:
    choice = CHOICES.get(page.field("choice"))
    if choice is None:
        raise ConflictError(page.language.say("没有这个选项"))
    chosen = {*page.form.get("label", ())}
    labels = {label: label in chosen for label in review.labels} if choice.outcome is Outcome.CORRECT else {}
    said = [page.field("reason"), review.label if choice.reason is ReasonCode.OTHER_HARM else ""]
    code = next((ReasonCode(one) for one in said if one and one in {*ReasonCode}), choice.reason)
    return Decided(choice.outcome, choice.verdict, labels, code, page.field("text")[:2_000])

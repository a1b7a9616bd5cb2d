"""The review desk 审核台: one note at a time, what speaks against it, and what each choice does."""

from typing import Any, Final, NamedTuple

from starlette.responses import Response

from models.policy.words import WORDS, Decision, Tier
from models.quality.reasons import LABEL_TEXTS
from serving.console.marks import pieces
from serving.console.pages import HEADERS, Page, Pages
from serving.console.refusals import refusal
from serving.errors import ConflictError, ServingError
from serving.quality import NoteScore
from serving.reviews.desk import UNDO_S, Decided, ReasonCode
from serving.store.reviews import Origin, Outcome, Review, ReviewQuery, ReviewState

PAGES: Final = Pages()
DESK: Final = "/console/reviews"
_N_HISTORY: Final = 5


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


@PAGES.page("/reviews")
async def show_desk(page: Page) -> Response:
    """The review that this person has, or an invitation to take one."""
    return await _desk(page)


@PAGES.page("/reviews/next")
async def show_next(page: Page) -> Response:
    """The note that comes next, to be shown while its page is on the way; empty where none waits."""
    review = await page.services.desk.upcoming(page.who)
    if review is None:
        return Response(status_code=204, headers=HEADERS)
    return page.render("desk_note.html", review=review, **await _of_note(page, review))


@PAGES.page("/reviews/claim", method="POST")
async def claim(page: Page) -> Response:
    """Take the next review."""
    await page.services.desk.claim(page.who, ReviewQuery())
    return page.go(DESK)


@PAGES.page("/reviews/{review_id}/decide", method="POST")
async def decide(page: Page) -> Response:
    """Decide, and take the next; where that can't be done the page says why, with what was written."""
    desk, review_id = page.services.desk, page.path("review_id")
    review = await desk.get(review_id)
    try:
        await desk.decide(review_id, page.who, page.field("lease"), _decided(page, review), revision=_revision(page))
    except ServingError as error:
        return await _desk(page, problem=error)
    await desk.claim(page.who, ReviewQuery())
    return page.go(DESK)


@PAGES.page("/reviews/{review_id}/renew", method="POST")
async def renew(page: Page) -> Response:
    """Keep the review a while longer."""
    await page.services.desk.renew(page.path("review_id"), page.who, page.field("lease"))
    return page.go(DESK)


@PAGES.page("/reviews/{review_id}/skip", method="POST")
async def skip(page: Page) -> Response:
    """Give the review back, and take another."""
    review_id = page.path("review_id")
    await page.services.desk.release(review_id, page.who, page.field("lease"))
    await page.services.desk.claim(page.who, ReviewQuery(but_not=review_id))
    return page.go(DESK)


@PAGES.page("/reviews/{review_id}/undo", method="POST")
async def undo(page: Page) -> Response:
    """Take the last decision back; the review that was taken since goes back first."""
    held = await page.services.desk.held(page.who)
    if held and held.lease:
        await page.services.desk.release(held.review_id, page.who, held.lease)
    try:
        await page.services.desk.undo(page.path("review_id"), page.who)
    except ConflictError as error:
        return await _desk(page, problem=error)
    return page.go(DESK)


async def _desk(page: Page, *, problem: ServingError | None = None) -> Response:
    desk = page.services.desk
    review = await desk.held(page.who)
    shown: dict[str, Any] = {
        "review": review,
        "problem": problem and refusal(page.language, problem),
        "written": page.field("text"),
        "last": await desk.last_decided(page.who),
        "n_today": await desk.n_today(page.who),
        "n_waiting": sum(one.n_waiting for one in await desk.backlog()),
        "undo_s": UNDO_S,
        "reasons": list(ReasonCode),
    }
    if review is None:
        return page.render("desk_empty.html", status=409 if problem else 200, **shown)
    return page.render("desk.html", status=409 if problem else 200, **shown, **await _of_note(page, review))


async def _of_note(page: Page, review: Review) -> dict[str, Any]:
    """All that helps to decide about a note."""
    stored = await page.services.notes.get(review.note_id)
    score = await _score(page, review.note_id)
    reasons = score.judged.reasons if score and score.judged else []
    near = list(score.near or []) if score else []
    others = [(one, await page.services.notes.get(one.note_id)) for one in near[:2]]
    history = await page.services.desk.page(
        ReviewQuery(state=ReviewState.DECIDED, author_id=review.author_id), after=None, limit=_N_HISTORY
    )
    is_blind = review.origin in {Origin.APPEAL, Origin.SECOND_OPINION}
    return {
        "note": stored.note,
        "title": pieces(stored.note.title, "title", reasons),
        "body": pieces(stored.note.body, "body", reasons),
        "general": [one for one in reasons if one.field is None],
        "labels": sorted(review.labels.items(), key=lambda one: -one[1]["probability"]),
        "called": {name: page.language.text(text) for name, text in LABEL_TEXTS.items()},
        "tier": page.language.text(WORDS[Tier(review.tier)]) if review.tier else "—",
        "near": others,
        "history": [one for _, one in history if not (is_blind and one.note_id == review.note_id)],
        "choices": {name: (choice, _does(page, review, choice)) for name, choice in CHOICES.items()},
    }


async def _score(page: Page, note_id: str) -> NoteScore | None:
    """What the model says now, to show where; None where no model can be asked."""
    try:
        answer = await page.services.quality.score([note_id], explain=False)
    except ServingError:
        return None
    return next((one for one in answer.results if isinstance(one, NoteScore)), None)


def _does(page: Page, review: Review, choice: Choice) -> str:
    """What a choice does, before it is made."""
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

"""Reviews: take one, decide, take that back; and what authors object to."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request

from models.policy.words import Decision
from serving.cursor import BY_RANK, read_cursor, write_cursor
from serving.deps import AppealVoices, GuardedRoute, Reviewing
from serving.instants import to_datetime, to_us
from serving.middleware import call_of
from serving.reviews.desk import Decided
from serving.schemas.reviews import (
    AgreementOut,
    AppealIn,
    BacklogOut,
    ClaimReview,
    DecideReview,
    EscalationOut,
    HoldReview,
    JudgementOut,
    LabelSaidOut,
    ReviewAnswer,
    ReviewChangeOut,
    ReviewChanges,
    ReviewClaimed,
    ReviewId,
    ReviewOut,
    ReviewReleased,
    ReviewReport,
    ReviewsListed,
    UndoReview,
    WantedReviews,
    WantedSummary,
)
from serving.store.reviews import Escalation, Judgement, Review, ReviewQuery

ReviewPath = Annotated[ReviewId, Path(examples=["0" * 24])]

router = APIRouter(prefix="/v1", tags=["reviews"], route_class=GuardedRoute)


@router.post("/reviews:claim")
async def claim_review(body: ClaimReview, reviewing: Reviewing, request: Request) -> ReviewClaimed:
    """Take the review that comes first among those asked for; the one that the reviewer has already, if so.

    It is theirs until `lease_until`; who needs longer renews it.
    """
    query = ReviewQuery(**_conditions(body))
    found = await reviewing.desk.claim(await reviewing.reviewers.named(body.reviewer), query)
    return ReviewClaimed(
        **call_of(request).meta, review=_review(found) if found else None, lease=found.lease if found else None
    )


@router.get("/reviews")
async def list_reviews(
    reviewing: Reviewing, wanted: Annotated[WantedReviews, Query()], request: Request
) -> ReviewsListed:
    """List reviews: those that wait by priority, the decided by when, the newest first."""
    query = ReviewQuery(state=wanted.state, untold=wanted.untold, **_conditions(wanted))
    after = read_cursor(query, wanted.cursor, BY_RANK) if wanted.cursor else None
    found = await reviewing.desk.page(query, after=after, limit=wanted.limit + 1)
    shown, has_more = found[: wanted.limit], len(found) > wanted.limit
    return ReviewsListed(
        **call_of(request).meta,
        results=[_review(one) for _, one in shown],
        has_more=has_more,
        next_cursor=write_cursor(query, (shown[-1][0], shown[-1][1].review_id)) if has_more else None,
    )


@router.get("/reviews/{review_id}/changes")
async def list_review_changes(review_id: ReviewPath, reviewing: Reviewing, request: Request) -> ReviewChanges:
    """List all that was done to a review, in order; it stays when the review has gone with its note."""
    changes = [
        ReviewChangeOut(**{**one._asdict(), "changed_at": to_datetime(one.changed_at)})
        for one in await reviewing.desk.changes(review_id)
    ]
    return ReviewChanges(**call_of(request).meta, results=changes)


@router.post("/reviews/{review_id}/renew")
async def renew_review(review_id: ReviewPath, body: HoldReview, reviewing: Reviewing, request: Request) -> ReviewAnswer:
    """Keep a review for another while; 409 where it is not this reviewer's any more."""
    reviewer = await reviewing.reviewers.named(body.reviewer)
    return ReviewAnswer(
        **call_of(request).meta, review=_review(await reviewing.desk.renew(review_id, reviewer, body.lease))
    )


@router.post("/reviews/{review_id}/release")
async def release_review(
    review_id: ReviewPath, body: HoldReview, reviewing: Reviewing, request: Request
) -> ReviewReleased:
    """Give a review back undecided; 409 where it is not this reviewer's any more."""
    await reviewing.desk.release(review_id, await reviewing.reviewers.named(body.reviewer), body.lease)
    return ReviewReleased(**call_of(request).meta, review_id=review_id)


@router.post("/reviews/{review_id}/decide")
async def decide_review(
    review_id: ReviewPath, body: DecideReview, reviewing: Reviewing, request: Request
) -> ReviewAnswer:
    """Decide about a note; to send the same again changes nothing.

    409 where the review is not this reviewer's any more, or the note has changed.
    """
    reviewer = await reviewing.reviewers.named(body.reviewer)
    decided = Decided(body.outcome, body.decision, body.labels, body.reason, body.text)
    kept = await reviewing.desk.decide(review_id, reviewer, body.lease, decided, revision=body.revision)
    return ReviewAnswer(**call_of(request).meta, review=_review(kept))


@router.post("/reviews/{review_id}/undo")
async def undo_review(review_id: ReviewPath, body: UndoReview, reviewing: Reviewing, request: Request) -> ReviewClaimed:
    """Take a decision of the last 30 seconds back, and have the review again; 409 where that is over."""
    undone = await reviewing.desk.undo(review_id, await reviewing.reviewers.named(body.reviewer))
    return ReviewClaimed(**call_of(request).meta, review=_review(undone), lease=undone.lease)


@router.get("/reviews/{review_id}")
async def get_review(review_id: ReviewPath, reviewing: Reviewing, request: Request) -> ReviewAnswer:
    """Give a review."""
    return ReviewAnswer(**call_of(request).meta, review=_review(await reviewing.desk.get(review_id)))


@router.post("/appeals")
async def add_appeal(body: AppealIn, voices: AppealVoices, request: Request) -> ReviewAnswer:
    """Have a note looked at again for its author, by another reviewer than before; 409 while an appeal waits."""
    opened = await voices.appeal(body.note_id, body.author_id, body.text)
    return ReviewAnswer(**call_of(request).meta, review=_review(opened))


@router.get("/reports/reviews")
async def report_reviews(
    reviewing: Reviewing, wanted: Annotated[WantedSummary, Query()], request: Request
) -> ReviewReport:
    """Report how reviewing goes: what waits, who decided how much, and how far reviewers agree."""
    since = to_us(wanted.since) if wanted.since else None
    before = to_us(wanted.before) if wanted.before else None
    summary = await reviewing.summaries.of(since=since, before=before)
    return ReviewReport(
        **call_of(request).meta,
        since=to_datetime(summary.since),
        before=to_datetime(summary.before),
        backlog=[BacklogOut(**{**one._asdict(), "oldest_at": to_datetime(one.oldest_at)}) for one in summary.backlog],
        decided={name: dict(own) for name, own in summary.decided.items()},
        agreement=AgreementOut(**summary.agreement._asdict()),
    )


def _conditions(body: ClaimReview | WantedReviews) -> dict[str, Any]:
    opened_before = to_us(body.opened_before) if body.opened_before else None
    same = {name: getattr(body, name) for name in ("origin", "label", "category", "tier")}
    return same | {"opened_before": opened_before}


def _review(review: Review) -> ReviewOut:
    said = {name: value for name, value in asdict(review).items() if name not in {"lease", "not_by", "batch"}}
    instants = {
        name: None if said[name] is None else to_datetime(said[name])
        for name in ("opened_at", "lease_until", "decided_at")
    }
    labels = {label: LabelSaidOut(**one) for label, one in review.labels.items()}
    judgement = _judgement(review.judgement) if review.judgement else None
    escalation = _escalation(review.escalation) if review.escalation else None
    return ReviewOut(**said | instants | {"labels": labels, "judgement": judgement, "escalation": escalation})


def _escalation(words: Escalation) -> EscalationOut:
    return EscalationOut(by=words.by, at=to_datetime(words.at), reason=words.reason, text=words.text)


def _judgement(judgement: Judgement) -> JudgementOut:
    return JudgementOut(
        outcome=judgement.outcome,
        decision=Decision(judgement.verdict) if judgement.verdict else None,
        labels={label: bool(value) for label, value in judgement.labels.items()},
        reason=judgement.reason,
        text=judgement.text,
    )

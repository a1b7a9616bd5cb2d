"""Recommendations: what a user should see next, what became of it, and what it is made of."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request

from serving.deps import Feedbacks, Feeds, GuardedRoute, RecommendationReports, UserInterestsOf
from serving.feedback import Feedback
from serving.ingest import DETAILS, Outcome
from serving.instants import to_datetime, to_us
from serving.middleware import Call, call_of
from serving.recommend import Asked, FeedAnswer, Shown, reason_of
from serving.routers.notes import NoteId
from serving.routers.users import UserId
from serving.schemas.base import ModelRef, Name
from serving.schemas.entries import DETAIL, MALFORMED, Malformed
from serving.schemas.recommendations import (
    ClickRateOut,
    DeliveryIn,
    FeedbackBatch,
    FeedbackIn,
    FeedbackResult,
    FeedbackResults,
    InterestDeleted,
    InterestOut,
    ReasonWhy,
    RecommendationReport,
    Recommendations,
    RecommendedNote,
    RecommendNotes,
    SimilarNote,
    SimilarNotes,
    UserInterests,
    WantedReport,
    WantedSimilar,
)
from serving.session_token import Session

router = APIRouter(prefix="/v1", tags=["recommendations"], route_class=GuardedRoute)


@router.post("/recommendations")
async def recommend(body: RecommendNotes, feeds: Feeds, request: Request) -> Recommendations:
    """Recommend up to 100 notes to a user, with the reason for each.

    What the user did is read as it is known now: an event posted before counts. The answer is put on record, so that
    later events with its `recommendation_id` say how it did.
    """
    answer = await feeds.recommend(_asked(body))
    return _recommendations(answer, body, call_of(request))


@router.get("/notes/{note_id}/similar")
async def list_similar(
    note_id: NoteId, feeds: Feeds, wanted: Annotated[WantedSimilar, Query()], request: Request
) -> SimilarNotes:
    """List notes like a note: those read beside it, then those that say the like."""
    found = feeds.similar(note_id, limit=wanted.limit)
    return SimilarNotes(
        **call_of(request).meta,
        note_id=note_id,
        results=[SimilarNote(note_id=name, score=one.score, source=one.source) for name, one in found],
    )


@router.post("/feedback")
async def add_feedback(body: FeedbackBatch, taking: Feedbacks, request: Request) -> FeedbackResults:
    """Take up to 1,000 exposures, clicks, hides and deliveries of assigned actions; a result for each, in order.

    All but deliveries are events like any other. A hidden note, or a hidden author's notes, are never recommended to
    the user again. One that is malformed is `rejected` for itself, unless all are.
    """
    events = [_feedback(one) for one in body.feedback if isinstance(one, FeedbackIn)]
    delivered = [(one.assignment_id, one.user_id) for one in body.feedback if isinstance(one, DeliveryIn)]
    n_malformed = len(body.feedback) - len(events) - len(delivered)
    outcomes, folded = await taking.ingest.feedback(events, n_malformed=n_malformed)
    deliveries = await taking.assigning.delivered(delivered) if delivered else []
    of_events, of_deliveries = iter(outcomes), iter(deliveries)
    results = [
        _malformed(one)
        if isinstance(one, Malformed)
        else _result(next(of_events))
        if isinstance(one, FeedbackIn)
        else _delivered(next(of_deliveries))
        for one in body.feedback
    ]
    return FeedbackResults(**call_of(request).meta, degraded=[] if folded else ["states"], results=results)


@router.get("/reports/recommendations")
async def report_recommendations(
    reports: RecommendationReports, wanted: Annotated[WantedReport, Query()], request: Request
) -> RecommendationReport:
    """Report how recommendations did: click rates by source, model version, arm or scene."""
    since = to_us(wanted.since) if wanted.since else None
    before = to_us(wanted.before) if wanted.before else None
    rates = await reports.recommendations(wanted.by, since=since, before=before)
    return RecommendationReport(
        **call_of(request).meta,
        by=wanted.by,
        results=[ClickRateOut(**one.rate._asdict(), ctr=one.ctr, low=one.low, high=one.high) for one in rates],
    )


@router.get("/users/{user_id}/interests")
async def list_interests(user_id: UserId, interests: UserInterestsOf, request: Request) -> UserInterests:
    """List what the notes that a user took up are about: it speaks for what they are recommended."""
    found = await interests.of(user_id)
    results = [InterestOut(tag=one.tag, n_notes=one.n_notes, last_at=to_datetime(one.last_at)) for one in found]
    return UserInterests(**call_of(request).meta, user_id=user_id, results=results)


@router.delete("/users/{user_id}/interests/{tag}")
async def delete_interest(
    user_id: UserId, tag: Annotated[Name, Path(examples=["旅行"])], interests: UserInterestsOf, request: Request
) -> InterestDeleted:
    """Delete an interest: what the user did before with such notes speaks for nothing any more."""
    deleted_at = to_datetime(await interests.delete(user_id, tag))
    return InterestDeleted(**call_of(request).meta, user_id=user_id, tag=tag, deleted_at=deleted_at)


def _asked(body: RecommendNotes) -> Asked:
    return Asked(
        body.user_id,
        body.limit,
        body.scene,
        body.context_note_id,
        body.category,
        body.exclude,
        None if body.session_token is None else Session.of(body.session_token),
        None if body.as_of is None else to_us(body.as_of),
    )


def _recommendations(answer: FeedAnswer, body: RecommendNotes, call: Call) -> Recommendations:
    pointer = answer.model.pointer
    call.model, call.version = answer.model.model, pointer.version
    return Recommendations.model_validate(
        {
            **call.meta,
            "degraded": list(answer.degraded),
            "model": ModelRef(
                name=answer.model.model, version=pointer.version, alias=answer.model.role, digest=pointer.digest
            ),
            "policy_version": answer.policy_version,
            "features_as_of": to_datetime(answer.as_of),
            "recommendation_id": answer.recommendation_id,
            "arm": answer.arm,
            "session_token": answer.session.token(),
            "results": [_recommended(one, body) for one in answer.shown],
        }
    )


def _recommended(shown: Shown, body: RecommendNotes) -> dict[str, object]:
    code, text = reason_of(shown, body.context_note_id)
    because = shown.because.note_id if shown.because else None
    return dict(
        RecommendedNote.model_construct(
            note_id=shown.note_id,
            score=shown.note.score,
            source=shown.note.source,
            reasons=[ReasonWhy(code=code, zh=text.zh, en=text.en, note_id=because)],
            fallback_reason=shown.fallback_reason,
        )
    )


def _feedback(one: FeedbackIn) -> Feedback:
    occurred_at = to_us(one.occurred_at) if one.occurred_at else None
    return Feedback(
        one.kind, one.user_id, one.note_id, one.author_id, one.recommendation_id, occurred_at, one.feedback_id
    )


def _malformed(entry: Malformed) -> FeedbackResult:
    return FeedbackResult(status="rejected", code=MALFORMED, detail=DETAIL, errors=entry.said("feedback"))


def _delivered(is_news: bool | None) -> FeedbackResult:
    if is_news is None:
        detail = "nothing of this id was assigned to this user"
        return FeedbackResult(status="rejected", code="unknown_assignment", detail=detail)
    return FeedbackResult(status="accepted" if is_news else "duplicate", code=None, detail=None)


def _result(outcome: Outcome) -> FeedbackResult:
    return FeedbackResult.model_validate(
        {
            "status": str(outcome.status),
            "code": outcome.code,
            "detail": DETAILS.get(outcome.code) if outcome.code else None,
        }
    )

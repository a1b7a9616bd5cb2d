"""Users: their profiles and their scores."""

from typing import Annotated

from fastapi import APIRouter, Path, Request

from models.churn.reasons import Explanation
from models.churn.scorer import ChurnStatus
from serving.churn import ChurnAnswer
from serving.deps import FactIngest, GuardedRoute, UserScoring
from serving.instants import to_datetime, to_us
from serving.middleware import Call, call_of
from serving.schemas.base import Id, ModelRef
from serving.schemas.users import Churn, Explained, Profile, ProfileStored, Reason, ScoreUsers, UserScore, UserScores

UserId = Annotated[Id, Path(examples=["u-7"])]

router = APIRouter(prefix="/v1", tags=["users"], route_class=GuardedRoute)

_REASONS = {
    ChurnStatus.SCORED: [],
    ChurnStatus.COLD_START: [
        Reason(code="no_activity", zh="尚无该用户的活跃记录", en="No activity of this user is known yet")
    ],
    ChurnStatus.INACTIVE: [
        Reason(
            code="inactive",
            zh="该用户近期不活跃，不在预测范围内",
            en="Not active lately: not among those predicted",
        )
    ],
}


@router.post("/users:score")
async def score_users(body: ScoreUsers, scoring: UserScoring, request: Request) -> UserScores:
    """Score up to 1,000 users: who is about to leave. A result for each, in order; nothing is stored.

    A user without any activity is a `cold_start`, one not active lately `inactive`: neither has probabilities.
    With `explain`, up to 100 users, and reasons for the score of the longest horizon asked for.
    """
    as_of = to_us(body.as_of) if body.as_of else None
    answer = scoring.explain if body.explain else scoring.score
    return _scores(await answer(body.user_ids, as_of=as_of, horizon_days=body.horizons), call_of(request))


@router.put("/users/{user_id}")
async def put_user(user_id: UserId, body: Profile, ingest: FactIngest, request: Request) -> ProfileStored:
    """Store a user's profile in place of the one before."""
    profile = dict(body)
    if body.registered_at:
        profile["registered_at"] = to_us(body.registered_at)
    folded = await ingest.profile(user_id, profile)
    return ProfileStored(**call_of(request).meta, degraded=[] if folded else ["states"], user_id=user_id)


def _scores(answer: ChurnAnswer, call: Call) -> UserScores:
    pointer = answer.model.pointer
    call.model, call.version = answer.model.model, pointer.version
    return UserScores(
        **call.meta,
        model=ModelRef(
            name=answer.model.model, version=pointer.version, alias=answer.model.role, digest=pointer.digest
        ),
        degraded=list(answer.degraded),
        features_as_of=to_datetime(answer.as_of),
        results=results_of(answer),
    )


def results_of(answer: ChurnAnswer) -> list[UserScore]:
    """A result per user asked for, in order."""
    settings = answer.model.scorer.settings
    horizons = [(column, settings.horizon_days[column], settings.thresholds[column]) for column in answer.columns]
    explanations = answer.explanations or [None] * len(answer.user_ids)
    results = [
        UserScore(
            user_id=user_id,
            status=status.value,
            churn=[
                Churn(horizon_days=days, probability=row[column], threshold=threshold, at_risk=row[column] >= threshold)
                for column, days, threshold in horizons
                if status is ChurnStatus.SCORED
            ],
            reasons=_reasons(explanation) if explanation else _REASONS[status],
            explained=_explained(explanation, horizons[-1][1]) if explanation else None,
        )
        for user_id, status, row, explanation in zip(
            answer.user_ids, answer.scores.status, answer.scores.probability.tolist(), explanations, strict=True
        )
    ]
    return [results[row] for row in answer.rows]


def _reasons(explanation: Explanation) -> list[Reason]:
    return [
        Reason(code=one.code, **one.text._asdict(), contribution=one.contribution, values=dict(one.values))
        for one in explanation.reasons
    ]


def _explained(explanation: Explanation, horizon_days: int) -> Explained:
    return Explained(horizon_days=horizon_days, base=explanation.base, raw_score=explanation.raw_score)

"""Users: their profiles and their scores."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import compress
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request

from models.churn.reasons import Explanation
from models.churn.scorer import ChurnStatus
from models.policy.evaluation import PolicyEvaluator, UserOutcome
from models.policy.policy import Action, Rule
from serving.churn import ChurnAnswer
from serving.deps import FactIngest, GuardedRoute, UserScoring
from serving.instants import to_datetime, to_us
from serving.middleware import Call, call_of
from serving.schemas.base import Id, ModelRef
from serving.schemas.entries import DETAIL, MALFORMED, Malformed, merged, well_formed
from serving.schemas.users import (
    ActionSaid,
    Churn,
    Explained,
    PolicySaid,
    Profile,
    ProfileStored,
    Reason,
    Said,
    ScoreUsers,
    UserProblem,
    UserScore,
    UserScores,
)

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
    """Score up to 1,000 users: who is about to leave, and what may be done. A result for each; nothing is stored.

    A user without any activity is a `cold_start`, one not active lately `inactive`: neither has probabilities.
    With `explain`, up to 100 users, and reasons for the score of the longest horizon asked for.
    """
    as_of = to_us(body.as_of) if body.as_of else None
    answer = scoring.explain if body.explain else scoring.score
    found = await answer(well_formed(body.user_ids), as_of=as_of, horizon_days=body.horizons)
    return _scores(found, body.user_ids, call_of(request))


@router.put("/users/{user_id}")
async def put_user(user_id: UserId, body: Profile, ingest: FactIngest, request: Request) -> ProfileStored:
    """Store a user's profile in place of the one before; flags that protect end only by an explicit `false`."""
    profile = dict(body)
    if body.registered_at:
        profile["registered_at"] = to_us(body.registered_at)
    folded = await ingest.profile(user_id, profile)
    return ProfileStored(**call_of(request).meta, degraded=[] if folded else ["states"], user_id=user_id)


def _scores(answer: ChurnAnswer, asked: Sequence[Id | Malformed], call: Call) -> UserScores:
    pointer = answer.model.pointer
    call.model, call.version = answer.model.model, pointer.version
    return UserScores(
        **call.meta,
        model=ModelRef(
            name=answer.model.model, version=pointer.version, alias=answer.model.role, digest=pointer.digest
        ),
        policy_version=answer.policy.policy.version,
        degraded=list(answer.degraded),
        features_as_of=to_datetime(answer.as_of),
        policy=_said(answer.policy, frozenset(answer.outcomes)),
        results=[_problem(one) if isinstance(one, Malformed) else one for one in merged(asked, results_of(answer))],
    )


def _problem(entry: Malformed) -> UserProblem:
    return UserProblem(status="problem", code=MALFORMED, detail=DETAIL, errors=entry.said("user_ids"))


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
            **_shown(answer.policy, outcome),
        )
        for user_id, status, row, explanation, outcome in zip(
            answer.user_ids,
            answer.scores.status,
            answer.scores.probability.tolist(),
            explanations,
            answer.outcomes,
            strict=True,
        )
    ]
    return [results[row] for row in answer.rows]


@lru_cache(maxsize=4_096)
def _shown(evaluator: PolicyEvaluator, outcome: UserOutcome) -> dict[str, Any]:
    """What the policy makes of a user, as answers show it: made once for all users of whom it makes the same."""
    tier, stage = evaluator.policy.tiers[outcome.tier], evaluator.policy.stages[outcome.stage]
    return {
        "tier": str(tier.outcome),
        "tier_rule": tier.name,
        "stage": str(stage.outcome),
        "stage_rule": stage.name,
        "actions": [one.name for one in compress(evaluator.actions, outcome.eligible)],
        "actions_withheld": outcome.withheld,
    }


@lru_cache(maxsize=256)
def _said(evaluator: PolicyEvaluator, outcomes: frozenset[UserOutcome]) -> PolicySaid:
    """What the names in some outcomes mean."""
    policy, actions = evaluator.policy, evaluator.actions
    eligible = dict.fromkeys(one for outcome in outcomes for one in compress(actions, outcome.eligible))
    return PolicySaid(
        tier_rules={policy.tiers[one].name: _text(policy.tiers[one]) for one in {each.tier for each in outcomes}},
        stage_rules={policy.stages[one].name: _text(policy.stages[one]) for one in {each.stage for each in outcomes}},
        actions={one.name: _action(one) for one in actions if one in eligible},
    )


def _text(rule: Rule) -> Said:
    return Said(**rule.text._asdict())


def _action(action: Action) -> ActionSaid:
    return ActionSaid(
        kind=action.kind,
        priority=action.priority,
        cooldown_days=action.cooldown_days,
        daily_cap=action.daily_cap,
        money=action.money,
        **action.text._asdict(),
    )


def _reasons(explanation: Explanation) -> list[Reason]:
    return [
        Reason(code=one.code, **one.text._asdict(), contribution=one.contribution, values=dict(one.values))
        for one in explanation.reasons
    ]


def _explained(explanation: Explanation, horizon_days: int) -> Explained:
    return Explained(horizon_days=horizon_days, base=explanation.base, raw_score=explanation.raw_score)

"""Tiers, stages and actions of users: what the policies in force make of their states and churn scores."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from features.state import UserStates
from features.user import Seen
from models.churn.scorer import ChurnScorer, ChurnScores
from models.policy.evaluation import PolicyEvaluator, UserOutcomes
from models.policy.user_facts import ChurnKnown


class JudgedUsers(NamedTuple):
    """Users' churn scores, and what the active policy makes of them.

    ``differs`` says for how many the shadow, where there is one, comes to another tier, stage and other actions.
    """

    scores: ChurnScores
    policy: PolicyEvaluator
    outcomes: UserOutcomes
    differs: Mapping[str, int] | None


def judge_users(
    scorer: ChurnScorer, policy: PolicyEvaluator, shadow: PolicyEvaluator | None, states: UserStates, as_of: int
) -> JudgedUsers:
    """Score users and evaluate the policies, over one reading of their states."""
    seen = Seen(states, as_of)
    scores = scorer.score_seen(seen)
    churn = ChurnKnown(scores.probability[:, -1], scorer.settings.thresholds[-1])
    outcomes = policy.users(seen, churn)
    differs = _differs(policy, outcomes, shadow, shadow.users(seen, churn)) if shadow else None
    return JudgedUsers(scores, policy, outcomes, differs)


def _differs(
    policy: PolicyEvaluator, ours: UserOutcomes, shadow: PolicyEvaluator, theirs: UserOutcomes
) -> dict[str, int]:
    """For how many users each outcome is another one; actions are the same where their names are."""
    names = [one.name for one in policy.actions]
    others = [one.name for one in shadow.actions]
    actions = np.zeros(len(ours.tier), np.bool_)
    for name in {*names, *others}:
        mine = ours.eligible[:, names.index(name)] if name in names else False
        actions |= mine != (theirs.eligible[:, others.index(name)] if name in others else False)
    return {
        "tier": int((policy.tier_codes[ours.tier] != shadow.tier_codes[theirs.tier]).sum()),
        "stage": int((policy.stage_codes[ours.stage] != shadow.stage_codes[theirs.stage]).sum()),
        "actions": int(actions.sum()),
    }

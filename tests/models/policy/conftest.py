"""Policies made by hand, and users whose facts are known."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

from features.schema import KIND_CODES
from features.state import DAY_US, Event, UserState, UserStates
from features.user import Seen
from models.policy.evaluation import PolicyEvaluator
from models.policy.schema import read_policy
from models.policy.user_facts import ChurnKnown

ROOT = Path(__file__).parents[3]
NOW = 20_000 * DAY_US
SHIPPED = (ROOT / "serving/policies/default.toml").read_text(encoding="utf-8")

Person: TypeAlias = Callable[..., UserState]

LEAST = """format = 1
name = "least"

[[tiers]]
rule = "all"
tier = "ordinary"
zh = "全部"
en = "All"

[[stages]]
rule = "all"
stage = "nurture"
zh = "全部"
en = "All"

[[actions]]
action = "guide"
kind = "newcomer_guide"
priority = 1
cooldown_days = 1
zh = "引导"
en = "Guide"

[[notes]]
rule = "all"
decision = "pass"
zh = "全部"
en = "All"
"""
"""The least that is a policy; rules go before those of the rest."""


@pytest.fixture(scope="session")
def shipped() -> PolicyEvaluator:
    return PolicyEvaluator(read_policy(SHIPPED))


@pytest.fixture
def policy_text() -> Callable[..., str]:
    """The least policy, with rules of (outcome, conditions) before that of the rest, and keys of the action changed."""

    def make(action: str = "", **sections: Sequence[tuple[str, Sequence[str]]]) -> str:
        text = LEAST.replace(
            "cooldown_days = 1\n", f"cooldown_days = 1\n{action}\n" if action else "cooldown_days = 1\n"
        )
        keys = {"tiers": "tier", "stages": "stage", "notes": "decision"}
        for section, rules in sections.items():
            made = [
                f'[[{section}]]\nrule = "r{place}"\n{keys[section]} = "{outcome}"\n'
                f'when = {list(when)}\nzh = "x"\nen = "x"\n'
                for place, (outcome, when) in enumerate(rules)
            ]
            text = text.replace(f"[[{section}]]", "\n".join([*made, f"[[{section}]]"]), 1)
        return text

    return make


@pytest.fixture
def person() -> Person:
    """Makes a user: registered so many days ago, ``n`` events of a kind so many days ago, and their profile."""

    def make(*, registered: float = 400, did: Mapping[str, Sequence[float]] | None = None, **profile: Any) -> UserState:
        state = UserState(registered_at=NOW - round(registered * DAY_US), **profile)
        return state.fold(
            Event(KIND_CODES[kind], NOW - round(days * DAY_US)) for kind, ages in (did or {}).items() for days in ages
        )

    return make


@pytest.fixture
def outcomes(shipped: PolicyEvaluator) -> Callable[..., dict[str, Any]]:
    """What a policy, the shipped one unless told otherwise, makes of one user with a churn probability."""

    def judge(state: UserState, probability: float = 0.1, *, by: PolicyEvaluator = shipped) -> dict[str, Any]:
        seen = Seen(UserStates.decode([state.encode()]), NOW)
        found = by.users(seen, ChurnKnown(np.float32([probability]), 0.5))
        tier, stage = by.policy.tiers[found.tier[0]], by.policy.stages[found.stage[0]]
        actions = [one.name for one, is_eligible in zip(by.actions, found.eligible[0], strict=True) if is_eligible]
        return {
            "tier": tier.outcome,
            "tier_rule": tier.name,
            "stage": stage.outcome,
            "stage_rule": stage.name,
            "actions": actions,
        }

    return judge

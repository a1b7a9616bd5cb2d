"""Evaluates a policy, for as many users or notes at once as there are: from columns of facts to columns of outcomes.

What the law and people's own choice demand is not the file's to say, but stands here: who opted out of
personalisation gets no action that was chosen by their tier and stage, which all are, and a minor none that is
marketing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from features.user import Seen
from models.policy.conditions import Conjunctions
from models.policy.facts import TIER_CODES
from models.policy.policy import Action, Policy, Rule
from models.policy.user_facts import ChurnKnown, UserFacts
from models.policy.words import NOT_MARKETING, Stage, Tier

Codes = npt.NDArray[np.intp]

_STAGE_CODES: Final = {stage: code for code, stage in enumerate(Stage)}


@dataclass(frozen=True, slots=True, eq=False)
class UserOutcomes:
    """Per user, in order: the places of the rules that fired, and of each action whether it is eligible.

    ``tier`` and ``stage`` (n,) are places in the policy's ``tiers`` and ``stages``; ``eligible`` is (n, n_actions), in
    the order of ``PolicyEvaluator.actions``. ``withheld`` where a user's own choice or the law keeps some from them.
    """

    tier: Codes
    stage: Codes
    eligible: npt.NDArray[np.bool_]
    withheld: npt.NDArray[np.bool_]

    def each(self) -> "list[UserOutcome]":
        """The same, user by user."""
        eligible = np.ascontiguousarray(self.eligible).view(f"V{self.eligible.shape[1]}")[:, 0].tolist()
        columns = self.tier.tolist(), self.stage.tolist(), eligible, self.withheld.tolist()
        return [*map(UserOutcome._make, zip(*columns, strict=True))]


class UserOutcome(NamedTuple):
    """One user's: the places of the rules that fired, a byte of 1 or 0 an action, and whether some are withheld."""

    tier: int
    stage: int
    eligible: bytes
    withheld: bool


class PolicyEvaluator:
    """A policy ready to answer; may be used by several threads."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.actions: Sequence[Action] = sorted(policy.actions, key=lambda one: (-one.priority, one.line))
        """The actions, the highest priority first."""
        rules = [*policy.tiers, *policy.stages]
        self._users = Conjunctions([*(one.when for one in rules), *(one.when for one in self.actions)])
        self._tiers = Conjunctions([one.when for one in policy.tiers])
        self._user_facts, self._tier_facts = UserFacts(self._users.facts), UserFacts(self._tiers.facts)
        self._notes = Conjunctions([one.when for one in policy.notes])
        self.tier_codes = np.array([TIER_CODES[Tier(rule.outcome)] for rule in policy.tiers])
        """The code of the tier that each tier rule gives."""
        self.stage_codes = np.array([_STAGE_CODES[Stage(rule.outcome)] for rule in policy.stages])
        """The code of the stage that each stage rule gives."""
        self._table = _table(self.actions)
        not_marketing = [one.kind in NOT_MARKETING for one in self.actions]
        nothing, everything = [False] * len(not_marketing), [True] * len(not_marketing)
        self._allowed = np.array([[everything, not_marketing], [nothing, nothing]])
        """Which actions are allowed, by whether a user opted out, and whether they are a minor."""

    @property
    def note_facts(self) -> tuple[str, ...]:
        """The facts that ``notes`` takes, in order."""
        return self._notes.facts

    def users(self, seen: Seen, churn: ChurnKnown | None) -> UserOutcomes:
        """The outcomes for users whose states were seen."""
        fired = self._users.fired(self._user_facts.read(seen, churn))
        stages_at = len(self.policy.tiers)
        actions_at = stages_at + len(self.policy.stages)
        tier = fired[:, :stages_at].argmax(axis=1)
        stage = fired[:, stages_at:actions_at].argmax(axis=1)
        is_minor, opted_out = seen.states.is_minor, seen.states.personalisation_opt_out
        eligible = fired[:, actions_at:] & self._table[self.tier_codes[tier], self.stage_codes[stage]]
        eligible &= self._allowed[opted_out.view(np.uint8), is_minor.view(np.uint8)]
        return UserOutcomes(tier, stage, eligible, is_minor | opted_out)

    def author_tiers(self, seen: Seen) -> npt.NDArray[np.float64]:
        """The tiers of users as facts about their notes: codes, higher for a higher tier."""
        fired = self._tiers.fired(self._tier_facts.read(seen, None))
        return np.asarray(self.tier_codes[fired.argmax(axis=1)], np.float64)

    def notes(self, facts: npt.NDArray[np.float64]) -> Codes:
        """Per note, the place of the rule that fired; ``facts`` (n, n_facts) are in the order of ``note_facts``."""
        return np.asarray(self._notes.fired(np.pad(facts, ((0, 0), (0, 1)))).argmax(axis=1), np.intp)

    def note_rule(self, place: int) -> Rule:
        """The rule that ``notes`` named."""
        return self.policy.notes[place]


def _table(actions: Sequence[Action]) -> npt.NDArray[np.bool_]:
    """For which tier and stage each action is: shape (n_tiers, n_stages, n_actions)."""
    table = np.zeros((len(Tier), len(Stage), len(actions)), np.bool_)
    for place, one in enumerate(actions):
        tiers = [TIER_CODES[tier] for tier in one.tiers]
        table[np.ix_(tiers, [_STAGE_CODES[stage] for stage in one.stages], [place])] = True
    return table

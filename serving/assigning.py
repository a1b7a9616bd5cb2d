"""Actions become assignments: what is done for whom, and what is left undone to compare with."""

import hashlib
import json
from collections.abc import Sequence
from itertools import compress
from typing import Final, NamedTuple

from features.state import DAY_US, community_day_start
from serving.churn import ChurnAnswer, ChurnScoring
from serving.draws import draw
from serving.errors import ConflictError
from serving.instants import Clock
from serving.store.assignments import Arm, Assignment, AssignmentStore, Batch, Candidate, Wanted

_HOLDOUT: Final = "holdout"


class Shares(NamedTuple):
    """Which share of users no action is done for, which share of an action's users it is not done for, and the salt
    with which both are drawn: another salt draws anew.
    """

    holdout: float
    control: float
    salt: str


class Assigning:
    """Assigns to each user at most one action: the first, by priority, that they are eligible for and have not had
    within its cooldown, while its daily cap lasts.

    Who opted out of personalisation, and who is a minor, is eligible as the policy says. The arm follows from a hash:
    the same user is always in the same arm of an action.
    """

    def __init__(self, store: AssignmentStore, scoring: ChurnScoring, *, shares: Shares, clock: Clock) -> None:
        self._store = store
        self._scoring = scoring
        self._shares = shares
        self._clock = clock

    async def assign(self, batch_id: str, user_ids: Sequence[str]) -> dict[str, Assignment]:
        """Assign to users, as they are now; what was assigned under this id before, if so.

        ConflictError where the id names a batch of other users, NoModelError while no churn model is live.
        """
        digest = hashlib.sha256(json.dumps(sorted({*user_ids})).encode()).hexdigest()
        done = await self._store.assigned(batch_id, digest)
        if done is None:
            now = self._clock()
            answer = await self._scoring.score(user_ids, as_of=None, horizon_days=None)
            day = community_day_start(now)
            batch = Batch(batch_id, digest, now, day, answer.policy.policy.version, answer.model.pointer.version)
            done = await self._store.assign(batch, self._wanted(answer, now))
        if not done.is_same:
            raise ConflictError("this id names a batch of other users")
        return dict(done.assignments)

    async def delivered(self, assignments: Sequence[tuple[str, str]]) -> list[bool | None]:
        """Keep that assignments, each with its user, were delivered: whether that was news, None for unknown ones."""
        known = await self._store.deliver({*assignments}, self._clock())
        return [known.get(one) for one in assignments]

    async def of_user(self, user_id: str, *, limit: int) -> list[Assignment]:
        """What was assigned to a user, the newest first."""
        return await self._store.of_user(user_id, limit=limit)

    def arm(self, user_id: str, action: str) -> Arm:
        """The arm of an action that a user is in."""
        if self.is_held_out(user_id):
            return Arm.HOLDOUT
        return Arm.CONTROL if self._drawn(user_id, f"action {action}") < self._shares.control else Arm.TREATMENT

    def is_held_out(self, user_id: str) -> bool:
        """Whether no action at all is done for a user."""
        return self._drawn(user_id, _HOLDOUT) < self._shares.holdout

    def _drawn(self, user_id: str, experiment: str) -> float:
        """A number from 0 to 1 that is always the same for a user and an experiment."""
        return draw(json.dumps([user_id, experiment, self._shares.salt]), purpose=b"arm")

    def _wanted(self, answer: ChurnAnswer, now: int) -> list[Wanted]:
        policy = answer.policy
        rows = zip(answer.user_ids, answer.outcomes, answer.scores.probability[:, -1].tolist(), strict=True)
        wanted = []
        for user_id, outcome, probability in rows:
            candidates = [
                Candidate(one.name, self.arm(user_id, one.name), now - one.cooldown_days * DAY_US, one.daily_cap)
                for one in compress(policy.actions, outcome.eligible)
            ]
            tier, stage = policy.policy.tiers[outcome.tier], policy.policy.stages[outcome.stage]
            known = probability if probability == probability else None  # NaN for users who have none
            wanted.append(Wanted(user_id, candidates, str(tier.outcome), str(stage.outcome), known))
        return wanted

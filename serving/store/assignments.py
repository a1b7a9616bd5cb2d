"""Actions that were assigned to users, and to which arm: what their worth is judged on."""

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol


class Arm(StrEnum):
    """What becomes of an assigned action: it is done, or left undone to compare with, for this action or for all."""

    TREATMENT = "treatment"
    CONTROL = "control"
    HOLDOUT = "holdout"


class Candidate(NamedTuple):
    """An action that a user may have; ``not_since`` is the instant since which the user must not have had it, and
    ``daily_cap`` for how many users a day it may be done.
    """

    action: str
    arm: Arm
    not_since: int
    daily_cap: int | None


class Wanted(NamedTuple):
    """A user with what they may have, the first choice first, and what was known of them."""

    user_id: str
    candidates: Sequence[Candidate]
    tier: str
    stage: str
    probability: float | None


class Batch(NamedTuple):
    """What is assigned at once, under an id of the caller's; ``since`` is when the day of the caps began."""

    batch_id: str
    digest: str
    at: int
    since: int
    policy_version: str
    model_version: str


class Assignment(NamedTuple):
    """An action assigned to a user."""

    assignment_id: str
    batch_id: str
    user_id: str
    action: str
    arm: Arm
    assigned_at: int
    tier: str
    stage: str
    probability: float | None
    policy_version: str
    model_version: str
    delivered_at: int | None


class LastAssigned(NamedTuple):
    """When an action was last assigned to a user, and to which arm."""

    user_id: str
    action: str
    arm: Arm
    assigned_at: int


class Outcomes(NamedTuple):
    """What a user did in the days after an assignment."""

    arm: Arm
    n_active_days: int
    n_engagements: int
    n_purchases: int
    spent: float


class AssignmentsHeld(NamedTuple):
    """How many assignments to a user are held, the first and the last instant."""

    n: int
    first_at: int
    last_at: int


class Assigned(NamedTuple):
    """What a batch came to, by user; ``is_same`` is false where the id names a batch of other users."""

    assignments: Mapping[str, Assignment]
    is_same: bool


class AssignmentStore(Protocol):
    """The assignments. Every method raises StoreError when the store can't do it now."""

    async def assigned(self, batch_id: str, digest: str) -> Assigned | None:
        """What was assigned under an id before."""
        ...

    async def assign(self, batch: Batch, wanted: Sequence[Wanted]) -> Assigned:
        """Assign to each user, in order, the first candidate that their cooldown and its cap allow, and keep that.

        Nothing is assigned to users who are erased, and nothing twice under one id.
        """
        ...

    async def deliver(self, assignment_ids: Collection[tuple[str, str]], at: int) -> dict[tuple[str, str], bool]:
        """Keep that these (assignment, user) were delivered; of those that are known, whether it was news."""
        ...

    async def outcomes(self, action: str, *, since: int, before: int, window_us: int, limit: int) -> list[Outcomes]:
        """What the users did within a window after their first assignment of an action in a stretch of time."""
        ...

    async def actions(self, *, since: int, before: int) -> list[str]:
        """The actions that were assigned in a stretch of time."""
        ...

    async def of_user(self, user_id: str, *, limit: int) -> list[Assignment]:
        """A user's assignments, the newest first."""
        ...

    async def last_assigned(self, user_ids: Sequence[str]) -> list[LastAssigned]:
        """The last assignment of each action to each of these users."""
        ...

    async def retire(self, before: int, *, limit: int) -> int:
        """Delete up to ``limit`` that were assigned before an instant; how many."""
        ...

    async def held(self, user_id: str) -> AssignmentsHeld | None:
        """What is held of a user; None where that is nothing."""
        ...

    async def erase(self, user_id: str) -> None:
        """Leave nothing of a user, in bounded steps."""
        ...

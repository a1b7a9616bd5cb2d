"""The KPIs as they were last rolled up, and the tier and stage that each user was in then."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol


class DaySums(NamedTuple):
    """What the users of a segment did on a day (days since 1970), each measure's sum by name."""

    segment: str
    day: int
    sums: Mapping[str, int]


class Cohort(NamedTuple):
    """Of the users whose first week this was, how many were active each week from it."""

    week: int
    n_active: Sequence[int]


class Rolled(NamedTuple):
    """A whole rollup; ``counts`` are what is counted on the day of ``as_of`` alone, such as users by tier."""

    as_of: int
    days: Sequence[DaySums]
    cohorts: Sequence[Cohort]
    counts: Mapping[str, int]


class DayCounts(NamedTuple):
    """What was counted on a day, by name."""

    day: int
    counts: Mapping[str, int]


class UserSegment(NamedTuple):
    """The tier and stage that a user is in."""

    user_id: str
    tier: str
    stage: str


class NoteCounts(NamedTuple):
    """How many scored notes there are of each tenth of quality, of each decision, and flagged by each label."""

    n_notes: int
    by_tenth: Mapping[int, int]
    by_decision: Mapping[str, int]
    flagged: Mapping[str, int]


class KpiStore(Protocol):
    """Rollups. Every method raises StoreError when the store can't do it now."""

    async def begin(self, at: int, *, unless_since: int) -> bool:
        """Take it on to roll up, unless that was begun at an instant or later; whether it was taken on."""
        ...

    async def move(self, day: int, users: Sequence[UserSegment]) -> Counter[str]:
        """Keep what users are in on a day, but for the erased; how many went from one tier or stage to another since
        the last day before, by ``tier:<from>><to>`` and ``stage:<from>><to>``.
        """
        ...

    async def users(self, *, tier: str | None, stage: str | None, after: str, limit: int) -> list[UserSegment]:
        """The first ``limit`` users above an id, of a tier, a stage or both, in the order of their ids."""
        ...

    async def held(self, user_id: str) -> UserSegment | None:
        """What is held of a user; None where that is nothing."""
        ...

    async def erase(self, user_id: str) -> None:
        """Leave nothing of a user."""
        ...

    async def put(self, rolled: Rolled, *, day: int) -> None:
        """Keep a rollup in place of the one before; counts of other days stay."""
        ...

    async def days(self, segment: str, *, since: int, before: int) -> list[DaySums]:
        """A segment's days in a stretch, in order."""
        ...

    async def counts(self, *, since: int, before: int) -> list[DayCounts]:
        """What was counted on the days of a stretch, in order."""
        ...

    async def cohorts(self) -> list[Cohort]:
        """The cohorts, in order."""
        ...

    async def notes(self) -> NoteCounts:
        """What the latest scores of notes say of all of them."""
        ...

    async def rolled_at(self) -> int | None:
        """The instant that the last rollup is of."""
        ...

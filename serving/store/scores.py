"""The latest score of every user at every horizon, in the order of their risk: what lists are made of."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, Protocol, TypeAlias

Status: TypeAlias = Literal["scored", "cold_start", "inactive"]


class ScoreRun(NamedTuple):
    """Everyone's scoring by one model as of one instant.

    ``thresholds`` gives each horizon, ascending, the probability from which a user is at risk.
    """

    as_of: int
    version: str
    digest: str
    thresholds: Mapping[int, float]


class NewScore(NamedTuple):
    """A user's scores in a run: a probability for each of its horizons, None for a user who is not ``scored``."""

    user_id: str
    status: Status
    last_active_at: int | None
    probabilities: Sequence[float | None]


class Score(NamedTuple):
    """A user's latest score at one horizon.

    ``changed_at`` is the ``as_of`` of the run since which status and probability are what they are.
    """

    user_id: str
    horizon_days: int
    status: Status
    probability: float | None
    last_active_at: int | None
    changed_at: int
    run: ScoreRun

    @property
    def threshold(self) -> float:
        """The probability from which the user is at risk."""
        return self.run.thresholds[self.horizon_days]

    @property
    def at_risk(self) -> bool | None:
        """Whether the user is; None for one who is not scored."""
        return None if self.probability is None else self.probability >= self.threshold


class ScoreQuery(NamedTuple):
    """Which scores: of one horizon and status; the other bounds hold where given.

    Both bounds of the probability are included, ``active_before`` is not. Tier and stage are those of the last rollup.
    """

    horizon_days: int
    status: Status
    min_probability: float | None = None
    max_probability: float | None = None
    active_since: int | None = None
    active_before: int | None = None
    changed_since: int | None = None
    tier: str | None = None
    stage: str | None = None


Position: TypeAlias = tuple[float | None, str]
"""A place in the order of risk: a probability and a user id."""


class ScorePage(NamedTuple):
    """Some scores in order, and the position to go on from; None at the end.

    A page may hold less than was asked for, even nothing, and not be the last.
    """

    scores: Sequence[Score]
    reached: Position | None


class ScoreStore(Protocol):
    """Scores by user and horizon. Every method raises StoreError when the store can't do it now."""

    async def put_many(self, run: ScoreRun, scores: Sequence[NewScore]) -> None:
        """Keep these users' scores, but for those who have some as of a later instant, or are erased."""
        ...

    async def newest_run(self) -> ScoreRun | None:
        """The run with the latest ``as_of``."""
        ...

    async def page(self, query: ScoreQuery, *, after: Position | None, limit: int) -> ScorePage:
        """Up to ``limit`` scores after a position, the highest probability first and equal ones by descending user id.

        Going on from page to page meets every score that does not change meanwhile exactly once. It takes about as
        long whatever is asked: a page ends early where matches are rare.
        """
        ...

    async def latest(self, user_ids: Sequence[str], *, horizon_days: int) -> dict[str, float | None]:
        """The latest probability at one horizon, by user with a score there; None for one who is not ``scored``."""
        ...

    async def held(self, user_id: str) -> list[Score] | None:
        """All that is held of a user, by horizon; None where that is nothing."""
        ...

    async def erase(self, user_id: str) -> None:
        """Leave nothing of a user with a tombstone; erasing again changes nothing."""
        ...

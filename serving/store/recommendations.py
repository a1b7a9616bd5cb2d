"""What was recommended: a row for each note shown, for reports and for judging the next model on it."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

By = Literal["source", "version", "arm", "scene"]


class Recommendation(NamedTuple):
    """A note that was recommended to a user who may have personal feeds; of other feeds nothing is kept.

    ``propensity`` is the chance that the note was in this feed at all.
    """

    recommendation_id: str
    place: int
    recommended_at: int
    user_id: str | None
    note_id: str
    source: str
    arm: str
    scene: str
    propensity: float
    version: str
    digest: str


class Rate(NamedTuple):
    """What became of the recommendations of one kind: how many, how many of them were exposed, and clicked."""

    name: str
    n_recommended: int
    n_exposed: int
    n_clicked: int


class RecommendationsHeld(NamedTuple):
    """How many recommendations to a user are held, the first and the last instant."""

    n: int
    first_at: int
    last_at: int


class RecommendationLog(Protocol):
    """The log. Every method raises StoreError when the store can't do it now."""

    async def add(self, recommendations: Sequence[Recommendation]) -> None:
        """Keep them, but for those to users who are erased."""
        ...

    async def rates(self, by: By, *, since: int, before: int) -> list[Rate]:
        """What became of what was recommended in a stretch of time, by kind.

        Exposed and clicked are those for which an event on the note names the recommendation: ``impression``, and for a
        click any activity that is no ``hide`` or ``report``. A clicked one counts as exposed.
        """
        ...

    async def page(self, after: tuple[str, int], *, limit: int) -> list[Recommendation]:
        """The first ``limit`` above an id and place, in their order."""
        ...

    async def retire(self, before: int, *, limit: int) -> int:
        """Delete up to ``limit`` that were recommended before an instant; how many."""
        ...

    async def held(self, user_id: str) -> RecommendationsHeld | None:
        """What is held of a user; None where that is nothing."""
        ...

    async def erase(self, user_id: str) -> None:
        """Leave nothing of a user, in bounded steps."""
        ...

"""Lists of users by their latest scores: who is about to leave."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from serving.cursor import BY_RANK_IF_ANY, read_cursor, write_cursor
from serving.errors import FieldProblem, InvalidError
from serving.store.scores import Score, ScorePage, ScoreQuery, ScoreStore

_EXPORTED: Final = 1_000
"""How many users an export holds in memory at once."""


class UserPage(NamedTuple):
    """Users in order, and where the list goes on; without a cursor it ends. No horizon: nobody has been scored yet."""

    horizon_days: int | None
    scores: Sequence[Score]
    next_cursor: str | None


class UserLists:
    """Reads lists. ``wanted`` has the fields of a ScoreQuery; its horizon is the longest there is, where it has none.

    InvalidError for a horizon that the newest run does not have.
    """

    def __init__(self, scores: ScoreStore) -> None:
        self._scores = scores

    async def page(self, wanted: Mapping[str, Any], *, cursor: str | None, limit: int) -> UserPage:
        """Up to ``limit`` users from where a cursor points, at first from the top; InvalidError for a bad cursor."""
        query = await self._query(wanted)
        after = read_cursor(query, cursor, BY_RANK_IF_ANY) if cursor else None
        scores, reached = await self._scores.page(query, after=after, limit=limit)
        return UserPage(query.horizon_days or None, scores, write_cursor(query, reached) if reached else None)

    async def everyone(self, wanted: Mapping[str, Any]) -> AsyncIterator[Sequence[Score]]:
        """The whole list, part by part: each is a short read of its own, however slowly they are asked for.

        The first is read before this returns, so that what can't be listed is refused at once.
        """
        query = await self._query(wanted)
        return self._parts(query, await self._scores.page(query, after=None, limit=_EXPORTED))

    async def _parts(self, query: ScoreQuery, part: ScorePage) -> AsyncIterator[Sequence[Score]]:
        yield part.scores
        while part.reached:
            part = await self._scores.page(query, after=part.reached, limit=_EXPORTED)
            yield part.scores

    async def _query(self, wanted: Mapping[str, Any]) -> ScoreQuery:
        run = await self._scores.newest_run()
        horizons = list(run.thresholds) if run else []
        asked = wanted.get("horizon_days")
        if asked is not None and asked not in horizons:
            detail = f"the horizons that were scored are {', '.join(map(str, horizons)) or 'none yet'}, in days"
            raise InvalidError(detail, errors=[FieldProblem("/query/horizon_days", "unknown_horizon", detail)])
        return ScoreQuery(**{**wanted, "horizon_days": asked or max(horizons, default=0)})

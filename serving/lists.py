"""Lists of users by their latest scores: who is about to leave."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from serving.contacts import Contacts, Withheld
from serving.cursor import BY_RANK_IF_ANY, read_cursor, write_cursor
from serving.errors import FieldProblem, InvalidError
from serving.store.scores import Score, ScorePage, ScoreQuery, ScoreStore

_EXPORTED: Final = 1_000
"""How many users an export holds in memory at once."""


class Listed(NamedTuple):
    """A user's latest score, and why they may not be contacted."""

    score: Score
    withheld: Sequence[Withheld]


class UserPage(NamedTuple):
    """Users in order, and where the list goes on; without a cursor it ends. No horizon: nobody has been scored yet."""

    horizon_days: int | None
    users: Sequence[Listed]
    next_cursor: str | None


class _Asked(NamedTuple):
    """Which scores, and whom of these."""

    query: ScoreQuery
    at_risk: bool
    with_withheld: bool
    key: tuple[Any, ...]
    """What cursors are bound to: what was asked for, whatever a run that ends meanwhile takes for a risk."""


class UserLists:
    """Reads lists of those who may be contacted, with ``with_withheld`` of the others too.

    ``wanted`` has the fields of a ScoreQuery; its horizon is the longest there is, where it has none. ``at_risk``,
    which is meant unless the probability is bounded, leaves those who are. InvalidError for a horizon that the newest
    run does not have.
    """

    def __init__(self, scores: ScoreStore, contacts: Contacts) -> None:
        self._scores = scores
        self._contacts = contacts

    async def page(self, wanted: Mapping[str, Any], *, cursor: str | None, limit: int) -> UserPage:
        """Up to ``limit`` users from where a cursor points, at first from the top; InvalidError for a bad cursor."""
        asked = await self._asked(wanted)
        after = read_cursor(asked.key, cursor, BY_RANK_IF_ANY) if cursor else None
        part = await self._scores.page(asked.query, after=after, limit=limit)
        next_cursor = write_cursor(asked.key, part.reached) if part.reached else None
        return UserPage(asked.query.horizon_days or None, await self._listed(asked, part.scores), next_cursor)

    async def everyone(self, wanted: Mapping[str, Any]) -> AsyncIterator[Sequence[Listed]]:
        """The whole list, part by part: each is a short read of its own, however slowly they are asked for.

        The first is read before this returns, so that what can't be listed is refused at once.
        """
        asked = await self._asked(wanted)
        return self._parts(asked, await self._scores.page(asked.query, after=None, limit=_EXPORTED))

    async def _parts(self, asked: _Asked, part: ScorePage) -> AsyncIterator[Sequence[Listed]]:
        yield await self._listed(asked, part.scores)
        while part.reached:
            part = await self._scores.page(asked.query, after=part.reached, limit=_EXPORTED)
            yield await self._listed(asked, part.scores)

    async def _listed(self, asked: _Asked, scores: Sequence[Score]) -> list[Listed]:
        chosen = [one for one in scores if one.at_risk or not asked.at_risk]
        withheld = await self._contacts.withheld([one.user_id for one in chosen])
        listed = [Listed(one, withheld[one.user_id]) for one in chosen]
        return [one for one in listed if asked.with_withheld or not one.withheld]

    async def _asked(self, wanted: Mapping[str, Any]) -> _Asked:
        run = await self._scores.newest_run()
        horizons = list(run.thresholds) if run else []
        asked = wanted.get("horizon_days")
        if asked is not None and asked not in horizons:
            detail = f"the horizons that were scored are {', '.join(map(str, horizons)) or 'none yet'}, in days"
            raise InvalidError(detail, errors=[FieldProblem("/query/horizon_days", "unknown_horizon", detail)])
        bounds = {name: wanted[name] for name in ScoreQuery._fields if name in wanted}
        query = ScoreQuery(**bounds | {"horizon_days": asked or max(horizons, default=0)})
        at_risk, with_withheld = _means_at_risk(query, wanted.get("at_risk")), bool(wanted.get("with_withheld"))
        key = query, at_risk, with_withheld
        if at_risk and run:
            threshold = run.thresholds[query.horizon_days]
            query = query._replace(min_probability=max(query.min_probability or 0, threshold))
        return _Asked(query, at_risk, with_withheld, key)


def _means_at_risk(query: ScoreQuery, asked: bool | None) -> bool:
    """Whether a list is of those at risk; who is not scored has no risk."""
    if asked is None:
        asked = query.min_probability is None and query.max_probability is None
    return asked and query.status == "scored"

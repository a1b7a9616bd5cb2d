"""The log of recommendations in SQL."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, and_, case, delete, exists, func, insert, select, tuple_

from serving.store.database import Database
from serving.store.journal import FactType
from serving.store.recommendations import By, Rate, Recommendation, RecommendationsHeld
from serving.store.sql_erasures import erased_among
from serving.store.sql_sequence import lock_journal
from serving.store.tables import FACTS, RECOMMENDATIONS

_C: Final = RECOMMENDATIONS.c
_NO_CLICK: Final = ("impression", "hide", "report")
_ERASED: Final = 2_000
"""How many rows one transaction deletes: others that write wait for it."""
_KEY: Final = tuple_(_C.recommendation_id, _C.place)
_EVENT_ON_IT: Final = and_(
    FACTS.c.recommendation_id == _C.recommendation_id, FACTS.c.note_id == _C.note_id, FACTS.c.type == FactType.EVENT
)
_IS_CLICKED: Final = exists().where(_EVENT_ON_IT, FACTS.c.event.not_in(_NO_CLICK)).correlate(RECOMMENDATIONS)
_IS_EXPOSED: Final = exists().where(_EVENT_ON_IT, FACTS.c.event.not_in(("hide", "report"))).correlate(RECOMMENDATIONS)


class SqlRecommendations:
    """A ``RecommendationLog``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, recommendations: Sequence[Recommendation]) -> None:
        """See ``RecommendationLog``."""
        await self._database.write(lambda connection: _add(connection, recommendations))

    async def rates(self, by: By, *, since: int, before: int) -> list[Rate]:
        """See ``RecommendationLog``."""
        counts = func.count(), func.sum(case((_IS_EXPOSED, 1), else_=0)), func.sum(case((_IS_CLICKED, 1), else_=0))
        within = _C.recommended_at >= since, _C.recommended_at < before
        statement = select(_C[by], *counts).where(*within).group_by(_C[by]).order_by(_C[by])
        rows = await self._database.read(lambda connection: connection.execute(statement).all(), many=True)
        return [Rate(name, *map(int, numbers)) for name, *numbers in rows]

    async def page(self, after: tuple[str, int], *, limit: int) -> list[Recommendation]:
        """See ``RecommendationLog``."""
        statement = (
            select(RECOMMENDATIONS).where(tuple_(*after) < _KEY).order_by(_C.recommendation_id, _C.place).limit(limit)
        )
        rows = await self._database.read(lambda connection: connection.execute(statement).all(), many=True)
        return [Recommendation(**row._mapping) for row in rows]

    async def retire(self, before: int, *, limit: int) -> int:
        """See ``RecommendationLog``."""
        some = select(_C.recommendation_id, _C.place).where(_C.recommended_at < before).limit(limit)
        statement = delete(RECOMMENDATIONS).where(_KEY.in_(some))
        return await self._database.write(lambda connection: connection.execute(statement).rowcount)

    async def held(self, user_id: str) -> RecommendationsHeld | None:
        """See ``RecommendationLog``."""
        columns = func.count(), func.min(_C.recommended_at), func.max(_C.recommended_at)
        statement = select(*columns).where(_C.user_id == user_id)
        row = await self._database.read(lambda connection: connection.execute(statement).one(), many=True)
        return RecommendationsHeld._make(row) if row[0] else None

    async def erase(self, user_id: str) -> None:
        """See ``RecommendationLog``."""
        some = select(_C.recommendation_id, _C.place).where(_C.user_id == user_id).limit(_ERASED)
        statement = delete(RECOMMENDATIONS).where(_KEY.in_(some))
        while await self._database.write(lambda connection: connection.execute(statement).rowcount):
            pass
        await self._database.scrub()


def _add(connection: Connection, recommendations: Sequence[Recommendation]) -> None:
    lock_journal(connection)  # so that no erasure of a user begins meanwhile
    erased = erased_among(connection, {one.user_id for one in recommendations if one.user_id is not None})
    rows = [one._asdict() for one in recommendations if one.user_id not in erased]
    if rows:
        connection.execute(insert(RECOMMENDATIONS), rows)

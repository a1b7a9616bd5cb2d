"""The log of recommendations in SQL."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, Select, bindparam, delete, func, insert, select, tuple_

from serving.store.database import Database
from serving.store.recommendations import By, Rate, Recommendation, RecommendationsHeld
from serving.store.sql_erasures import erased_among
from serving.store.sql_recommendation_counts import rates, recounted
from serving.store.sql_sequence import lock_journal
from serving.store.tables import RECOMMENDATIONS

_C: Final = RECOMMENDATIONS.c
_ERASED: Final = 2_000
"""How many rows one transaction deletes: others that write wait for it."""
_KEY: Final = tuple_(_C.recommendation_id, _C.place)


class SqlRecommendations:
    """A ``RecommendationLog``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, recommendations: Sequence[Recommendation]) -> None:
        """See ``RecommendationLog``."""
        await self._database.write(lambda connection: _add(connection, recommendations))

    async def rates(self, by: By, *, since: int, before: int) -> list[Rate]:
        """See ``RecommendationLog``."""
        return await self._database.read_long(lambda there: rates(there, by, since=since, before=before))

    async def page(self, after: tuple[str, int], *, limit: int) -> list[Recommendation]:
        """See ``RecommendationLog``."""
        statement = (
            select(RECOMMENDATIONS).where(tuple_(*after) < _KEY).order_by(_C.recommendation_id, _C.place).limit(limit)
        )
        rows = await self._database.read_long(lambda connection: connection.execute(statement).all())
        return [Recommendation(**row._mapping) for row in rows]

    async def retire(self, before: int, *, limit: int) -> int:
        """See ``RecommendationLog``."""
        some = select(_C.recommendation_id, _C.place).where(_C.recommended_at < before).limit(limit)
        return await self._database.write(lambda connection: _delete(connection, some))

    async def held(self, user_id: str) -> RecommendationsHeld | None:
        """See ``RecommendationLog``."""
        columns = func.count(), func.min(_C.recommended_at), func.max(_C.recommended_at)
        statement = select(*columns).where(_C.user_id == user_id)
        row = await self._database.read(lambda connection: connection.execute(statement).one(), many=True)
        return RecommendationsHeld._make(row) if row[0] else None

    async def erase(self, user_id: str) -> None:
        """See ``RecommendationLog``."""
        some = select(_C.recommendation_id, _C.place).where(_C.user_id == user_id).limit(_ERASED)
        while await self._database.write(lambda connection: _delete(connection, some)):
            pass
        await self._database.scrub()


def _add(connection: Connection, recommendations: Sequence[Recommendation]) -> None:
    lock_journal(connection)  # so that no erasure of a user begins meanwhile
    erased = erased_among(connection, {one.user_id for one in recommendations if one.user_id is not None})
    rows = [one._asdict() for one in recommendations if one.user_id not in erased]
    with recounted(connection, {one["recommendation_id"] for one in rows}):
        if rows:
            connection.execute(insert(RECOMMENDATIONS), rows)


def _delete(connection: Connection, some: Select[str, int]) -> int:
    """Delete these recommendations; how many."""
    lock_journal(connection)
    keys = [(recommendation_id, place) for recommendation_id, place in connection.execute(some)]
    with recounted(connection, {recommendation_id for recommendation_id, _ in keys}):
        deleting = delete(RECOMMENDATIONS).where(_C.recommendation_id == bindparam("id"), _C.place == bindparam("at"))
        if keys:
            connection.execute(deleting, [{"id": one, "at": place} for one, place in keys])
    return len(keys)

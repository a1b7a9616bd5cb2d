"""The states in a SQLite file."""

import json
from collections.abc import Collection, Sequence
from typing import Final

from sqlalchemy import Connection, bindparam, delete, func, select, update
from sqlalchemy.dialects.sqlite import insert

from serving.store.database import Database
from serving.store.state import StateUpdate, StoredState
from serving.store.tables import USER_STATES, WATERMARKS
from serving.workers import MANY_USERS

_STATES: Final = "states"
_GENERATION: Final = "states_generation"

_STATES_OF = """
SELECT user_id, encoded, applied_seq FROM user_states WHERE user_id IN (SELECT value FROM json_each(?))
"""
_APPLIED = select(USER_STATES.c.user_id, USER_STATES.c.applied_seq).where(
    USER_STATES.c.user_id.in_(bindparam("user_ids", expanding=True))
)
_ADD_STATE = insert(USER_STATES).on_conflict_do_nothing()
_MOVE_STATE = (
    update(USER_STATES)
    .where(USER_STATES.c.user_id == bindparam("id"), USER_STATES.c.applied_seq == bindparam("expected_seq"))
    .values(encoded=bindparam("encoded"), applied_seq=bindparam("applied_seq"))
)
_WATERMARK = select(WATERMARKS.c.seq).where(WATERMARKS.c.name == _STATES)
_HIGHEST = select(func.max(USER_STATES.c.applied_seq))
_READ_GENERATION = select(WATERMARKS.c.seq).where(WATERMARKS.c.name == _GENERATION)
_NEXT_GENERATION = (
    insert(WATERMARKS)
    .values(name=_GENERATION, seq=1)
    .on_conflict_do_update(index_elements=["name"], set_={"seq": WATERMARKS.c.seq + 1})
)


class SqliteStates:
    """A ``StateStore``."""

    def __init__(self, file: Database) -> None:
        self._file = file

    async def get_many(self, user_ids: Collection[str]) -> dict[str, StoredState]:
        """See ``StateStore``."""
        wanted = json.dumps([*user_ids])
        return await self._file.read(
            lambda connection: _states_of(connection, wanted), many=len(user_ids) >= MANY_USERS
        )

    async def put_many(self, updates: Sequence[StateUpdate]) -> set[str]:
        """See ``StateStore``."""
        return await self._file.write(lambda connection: _put(connection, updates))

    async def watermark(self) -> int:
        """See ``StateStore``."""
        return await self._file.read(lambda connection: connection.execute(_WATERMARK).scalar() or 0, many=False)

    async def advance_watermark(self, seq: int) -> None:
        """See ``StateStore``."""
        statement = insert(WATERMARKS).values(name=_STATES, seq=seq)
        rising = statement.on_conflict_do_update(set_={"seq": seq}, where=WATERMARKS.c.seq < seq)
        await self._file.write(lambda connection: connection.execute(rising))

    async def check(self) -> None:
        """See ``StateStore``."""
        await self._file.write(_generation)

    async def highest_seq(self) -> int:
        """See ``StateStore``."""
        return await self._file.read(lambda connection: connection.execute(_HIGHEST).scalar() or 0, many=True)

    async def generation(self) -> int:
        """See ``StateStore``."""
        return await self._file.read(_generation, many=False)

    async def held(self, user_id: str) -> StoredState | None:
        """See ``StateStore``."""
        return (await self.get_many([user_id])).get(user_id)

    async def erase(self, user_id: str) -> None:
        """See ``StateStore``."""
        await self._file.write(lambda connection: _erase(connection, user_id))
        await self._file.scrub()

    async def reset(self, watermark: int) -> None:
        """See ``StateStore``."""
        await self._file.write(lambda connection: _reset(connection, watermark))


def _reset(connection: Connection, watermark: int) -> None:
    connection.execute(delete(USER_STATES))
    connection.execute(delete(WATERMARKS).where(WATERMARKS.c.name == _STATES))
    connection.execute(insert(WATERMARKS).values(name=_STATES, seq=watermark))


def _generation(connection: Connection) -> int:
    return connection.execute(_READ_GENERATION).scalar() or 0


def _erase(connection: Connection, user_id: str) -> None:
    connection.execute(_NEXT_GENERATION)
    connection.execute(delete(USER_STATES).where(USER_STATES.c.user_id == user_id))


def _states_of(connection: Connection, wanted: str) -> dict[str, StoredState]:
    """States by the driver itself: 5 us where SQLAlchemy takes 25, of the 200 that a whole score may take."""
    cursor = connection.connection.cursor()
    cursor.execute(_STATES_OF, (wanted,))
    return {user_id: StoredState(encoded, applied_seq) for user_id, encoded, applied_seq in cursor.fetchall()}


def _put(connection: Connection, updates: Sequence[StateUpdate]) -> set[str]:
    """Put and look what stands there: a state at an update's ``applied_seq`` is that update's, whoever put it."""
    generation = _generation(connection) if any(not one.expected_seq for one in updates) else None
    new = [one._asdict() for one in updates if not one.expected_seq and one.generation == generation]
    moved = [{"id": one.user_id, **one._asdict()} for one in updates if one.expected_seq]
    if new:
        connection.execute(_ADD_STATE, new)
    if moved:
        connection.execute(_MOVE_STATE, moved)
    rows = connection.execute(_APPLIED, {"user_ids": [one.user_id for one in updates]})
    applied: dict[str, int] = dict(rows.all())
    return {one.user_id for one in updates if applied.get(one.user_id) != one.applied_seq}

"""Tombstones and pending erasures in SQL, in the journal's database.

A tombstone is a user's salted hash. Whoever writes something of a user asks ``erased_among`` in the same transaction,
so nothing can come after the tombstone.
"""

import json
from collections.abc import AsyncIterator, Collection, Sequence
from functools import partial
from typing import Any, Final

from sqlalchemy import (
    JSON,
    Connection,
    Function,
    Insert,
    Select,
    Table,
    Text,
    bindparam,
    cast,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from serving.store.audit import Action, NewEntry, Target, TargetKind, entry
from serving.store.database import Database
from serving.store.erasure import ErasureBacklog, PendingErasure, Tombstone
from serving.store.sql_audit import write_down
from serving.store.sql_salts import salted_hash
from serving.store.sql_sequence import lock_journal
from serving.store.sql_tombstones import users_held
from serving.store.tables import PENDING_ERASURES, TOMBSTONES


def _tombstones(each: Function[Any]) -> Select[Any]:
    """The tombstones among hashes; ``each`` makes rows of a JSON list, at a tenth of what a parameter each costs."""
    wanted = each.table_valued("value", name="wanted")
    return select(TOMBSTONES.c.user_hash).where(TOMBSTONES.c.user_hash.in_(select(wanted.c.value)))


_HASHES: Final = bindparam("hashes", type_=Text)
_TOMBSTONES: Final = {
    "sqlite": _tombstones(func.json_each(_HASHES)),
    "postgresql": _tombstones(func.json_array_elements_text(cast(_HASHES, JSON))),
}
_P: Final = PENDING_ERASURES.c
_PENDING: Final = select(_P.user_id, _P.n_attempts).where(_P.try_at <= bindparam("at")).order_by(_P.try_at, _P.user_id)


def erased_among(connection: Connection, user_ids: Collection[str]) -> set[str]:
    """Those of these users who are erased."""
    hashes = {salted_hash(connection, user_id): user_id for user_id in user_ids}
    found = connection.scalars(_TOMBSTONES[connection.dialect.name], {"hashes": json.dumps([*hashes])})
    return {hashes[one] for one in found}


def insert_new(connection: Connection, table: Table) -> Insert:
    """An insert that leaves the rows which are there already."""
    made = sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)
    return made.on_conflict_do_nothing()


class SqlErasures:
    """An ``ErasureLog``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, user_id: str, at: int) -> int:
        """See ``ErasureLog``."""
        erased = entry(Action.USER_ERASE, Target(TargetKind.USER, user_id), at=at)
        return await self._database.write(lambda connection: _begin(connection, user_id, at, erased))

    async def tombstones(self) -> list[Tombstone]:
        """See ``ErasureLog``."""
        every = select(TOMBSTONES.c.user_hash, TOMBSTONES.c.erased_at).order_by(TOMBSTONES.c.user_hash)
        rows = await self._database.read(lambda connection: connection.execute(every).all(), many=True)
        return [Tombstone._make(row) for row in rows]

    async def set_tombstones(self, tombstones: Sequence[Tombstone]) -> None:
        """See ``ErasureLog``."""
        rows = [one._asdict() for one in tombstones]
        if rows:
            await self._database.write(lambda connection: connection.execute(insert_new(connection, TOMBSTONES), rows))

    async def deployment(self) -> str:
        """See ``ErasureLog``."""
        return await self._database.read(lambda connection: salted_hash(connection, ""), many=False)

    async def held_though_erased(self) -> AsyncIterator[str]:
        """See ``ErasureLog``."""
        async for page in users_held(self._database):
            for user_id in await self._database.read(partial(erased_among, user_ids=page), many=True):
                yield user_id

    async def pending(self, *, at: int, limit: int) -> list[PendingErasure]:
        """See ``ErasureLog``."""
        page = _PENDING.limit(limit)
        rows = await self._database.read(lambda connection: connection.execute(page, {"at": at}).all(), many=False)
        return [PendingErasure._make(row) for row in rows]

    async def backlog(self) -> ErasureBacklog:
        """See ``ErasureLog``."""
        counting = select(func.count(), func.min(_P.begun_at)).select_from(PENDING_ERASURES)
        row = await self._database.read(lambda connection: connection.execute(counting).one(), many=False)
        return ErasureBacklog._make(row)

    async def postpone(self, user_id: str, *, try_at: int) -> None:
        """See ``ErasureLog``."""
        trying = update(PENDING_ERASURES).where(_P.user_id == user_id)
        values = {"try_at": try_at, "n_attempts": _P.n_attempts + 1}
        await self._database.write(lambda connection: connection.execute(trying.values(values)))

    async def finish(self, user_id: str) -> None:
        """See ``ErasureLog``."""
        statement = delete(PENDING_ERASURES).where(PENDING_ERASURES.c.user_id == user_id)
        await self._database.write(lambda connection: connection.execute(statement))
        await self._database.scrub()


def _begin(connection: Connection, user_id: str, at: int, erased: NewEntry) -> int:
    lock_journal(connection)
    write_down(connection, erased)
    user_hash = salted_hash(connection, user_id)
    connection.execute(insert_new(connection, TOMBSTONES), {"user_hash": user_hash, "erased_at": at})
    connection.execute(insert_new(connection, PENDING_ERASURES), {"user_id": user_id, "begun_at": at})
    first = select(TOMBSTONES.c.erased_at).where(TOMBSTONES.c.user_hash == user_hash)
    erased_at: int = connection.execute(first).scalar_one()
    return erased_at

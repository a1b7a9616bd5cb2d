"""The journal, the states and the keys in one SQLite file."""

import json
from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import Connection, Integer, and_, bindparam, column, func, select, table, update
from sqlalchemy.dialects.sqlite import insert

from serving.store.journal import AppendStatus, Entry, Fact, Touched
from serving.store.keys import StoredKey
from serving.store.sqlite_file import SqliteFile
from serving.store.state import StateUpdate, StoredState
from serving.store.tables import API_KEYS, FACTS, USER_STATES, WATERMARKS
from serving.workers import MANY_USERS

_CONTENT: Final = [name for name in Fact._fields if name != "received_at"]
_STATES: Final = "states"

_KNOWN = select(FACTS.c.event_id, *(FACTS.c[name] for name in _CONTENT)).where(
    FACTS.c.event_id.in_(bindparam("event_ids", expanding=True))
)
_LAST_SEQ = select(column("seq", Integer)).select_from(table("sqlite_sequence")).where(column("name") == FACTS.name)
_WANTED = func.json_each(bindparam("after")).table_valued("key", "value", name="wanted")
_ENTRIES = (
    select(FACTS.c.user_id, *(FACTS.c[name] for name in Entry._fields))
    .select_from(_WANTED.join(FACTS, and_(FACTS.c.user_id == _WANTED.c.key, FACTS.c.seq > _WANTED.c.value)))
    .order_by(FACTS.c.user_id, FACTS.c.seq)
)
_TOUCHED = select(FACTS.c.user_id, FACTS.c.seq).where(FACTS.c.seq > bindparam("after")).order_by(FACTS.c.seq)

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


class SqliteJournal:
    """A ``Journal``."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    async def append(self, facts: Sequence[Fact]) -> list[AppendStatus]:
        """See ``Journal``."""
        return await self._file.write(lambda connection: _append(connection, facts))

    async def entries(self, after: Mapping[str, int]) -> dict[str, list[Entry]]:
        """See ``Journal``."""
        parameters = {"after": json.dumps(after)}
        rows = await self._file.read(
            lambda connection: connection.execute(_ENTRIES, parameters).all(), many=len(after) >= MANY_USERS
        )
        return {user_id: [Entry._make(row[1:]) for row in own] for user_id, own in groupby(rows, itemgetter(0))}

    async def touched(self, after: int, *, limit: int) -> Touched:
        """See ``Journal``."""
        page = _TOUCHED.limit(limit)
        rows = await self._file.read(lambda connection: connection.execute(page, {"after": after}).all(), many=True)
        return Touched(frozenset(user_id for user_id, _ in rows), rows[-1][1] if rows else after)

    async def last_seq(self) -> int:
        """See ``Journal``."""
        return await self._file.read(_last_seq, many=False)


def _append(connection: Connection, facts: Sequence[Fact]) -> list[AppendStatus]:
    known = _known(connection, facts)
    statuses, rows = [], []
    seq = _last_seq(connection)
    for fact in facts:
        content = _content(fact)
        first = known.setdefault(fact.event_id, content) if fact.event_id else None
        if first is None or first is content:
            seq += 1
            rows.append({"seq": seq, **fact._asdict()})
            statuses.append(AppendStatus.ACCEPTED)
        else:
            statuses.append(AppendStatus.DUPLICATE if first == content else AppendStatus.CONFLICT)
    if rows:
        connection.execute(insert(FACTS), rows)
    return statuses


def _known(connection: Connection, facts: Sequence[Fact]) -> dict[str, tuple[Any, ...]]:
    """The content of the facts in the journal that have one of these facts' event ids, by that id."""
    event_ids = [fact.event_id for fact in facts if fact.event_id]
    return {row[0]: tuple(row[1:]) for row in connection.execute(_KNOWN, {"event_ids": event_ids})}


def _content(fact: Fact) -> tuple[Any, ...]:
    return tuple(getattr(fact, name) for name in _CONTENT)


def _last_seq(connection: Connection) -> int:
    return connection.execute(_LAST_SEQ).scalar() or 0


class SqliteStates:
    """A ``StateStore``."""

    def __init__(self, file: SqliteFile) -> None:
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


def _states_of(connection: Connection, wanted: str) -> dict[str, StoredState]:
    """States by the driver itself: 5 us where SQLAlchemy takes 25, of the 200 that a whole score may take."""
    cursor = connection.connection.cursor()
    cursor.execute(_STATES_OF, (wanted,))
    return {user_id: StoredState(encoded, applied_seq) for user_id, encoded, applied_seq in cursor.fetchall()}


def _put(connection: Connection, updates: Sequence[StateUpdate]) -> set[str]:
    """Put and look what stands there: a state at an update's ``applied_seq`` is that update's, whoever put it."""
    new = [one._asdict() for one in updates if not one.expected_seq]
    moved = [{"id": one.user_id, **one._asdict()} for one in updates if one.expected_seq]
    if new:
        connection.execute(_ADD_STATE, new)
    if moved:
        connection.execute(_MOVE_STATE, moved)
    rows = connection.execute(_APPLIED, {"user_ids": [one.user_id for one in updates]})
    applied: dict[str, int] = dict(rows.all())
    return {one.user_id for one in updates if applied.get(one.user_id) != one.applied_seq}


class SqliteKeys:
    """A ``KeyStore``."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    async def find(self, key_hash: str) -> StoredKey | None:
        """See ``KeyStore``."""
        statement = select(API_KEYS).where(API_KEYS.c.key_hash == key_hash)
        row = await self._file.read(lambda connection: connection.execute(statement).one_or_none(), many=False)
        return StoredKey(row.key_hash, row.label, frozenset(row.scopes.split()), *row[3:]) if row else None

    async def add(self, key: StoredKey) -> None:
        """See ``KeyStore``."""
        row = {**key._asdict(), "scopes": " ".join(sorted(key.scopes))}
        await self._file.write(lambda connection: connection.execute(insert(API_KEYS), row))

    async def revoke(self, label: str, at: int) -> int:
        """See ``KeyStore``."""
        in_force = and_(API_KEYS.c.label == label, API_KEYS.c.revoked_at.is_(None))
        statement = update(API_KEYS).where(in_force).values(revoked_at=at)
        return await self._file.write(lambda connection: connection.execute(statement).rowcount)

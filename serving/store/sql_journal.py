"""The journal in SQL, on SQLite and PostgreSQL alike."""

import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    ColumnElement,
    Connection,
    Function,
    Select,
    Text,
    and_,
    any_,
    bindparam,
    cast,
    func,
    insert,
    select,
    update,
)

from serving.store.database import Database
from serving.store.journal import AppendStatus, Entry, Fact, Touched
from serving.store.tables import FACTS, WATERMARKS
from serving.workers import MANY_USERS

_CONTENT: Final = [name for name in Fact._fields if name != "received_at"]
_IS_MINE: Final = WATERMARKS.c.name == "journal"


def _known(among: ColumnElement[bool]) -> Select[Any]:
    return select(FACTS.c.event_id, *(FACTS.c[name] for name in _CONTENT)).where(among)


def _entries(each: Function[Any]) -> Select[Any]:
    """Entries above a seq per user; ``each`` makes rows of a JSON object."""
    wanted = each.table_valued("key", "value", name="wanted")
    above = FACTS.c.seq > cast(wanted.c.value, BigInteger)
    return (
        select(FACTS.c.user_id, *(FACTS.c[name] for name in Entry._fields))
        .select_from(wanted.join(FACTS, and_(FACTS.c.user_id == wanted.c.key, above)))
        .order_by(FACTS.c.user_id, FACTS.c.seq)
    )


_KNOWN: Final = {
    "sqlite": _known(FACTS.c.event_id.in_(bindparam("event_ids", expanding=True))),
    "postgresql": _known(FACTS.c.event_id == any_(bindparam("event_ids", type_=ARRAY(Text)))),
}
_AFTER: Final = bindparam("after", type_=Text)
_ENTRIES: Final = {
    "sqlite": _entries(func.json_each(_AFTER)),
    "postgresql": _entries(func.json_each_text(cast(_AFTER, JSON))),
}
_TOUCHED: Final = select(FACTS.c.user_id, FACTS.c.seq).where(FACTS.c.seq > bindparam("after")).order_by(FACTS.c.seq)
_LAST_SEQ: Final = select(WATERMARKS.c.seq).where(_IS_MINE)


class SqlJournal:
    """A ``Journal``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, facts: Sequence[Fact]) -> list[AppendStatus]:
        """See ``Journal``."""
        return await self._database.write(lambda connection: _append(connection, facts))

    async def entries(self, after: Mapping[str, int]) -> dict[str, list[Entry]]:
        """See ``Journal``."""
        parameters = {"after": json.dumps(after)}
        rows = await self._database.read(
            lambda connection: connection.execute(_ENTRIES[connection.dialect.name], parameters).all(),
            many=len(after) >= MANY_USERS,
        )
        return {user_id: [Entry._make(row[1:]) for row in own] for user_id, own in groupby(rows, itemgetter(0))}

    async def touched(self, after: int, *, limit: int) -> Touched:
        """See ``Journal``."""
        page = _TOUCHED.limit(limit)
        rows = await self._database.read(lambda connection: connection.execute(page, {"after": after}).all(), many=True)
        return Touched(frozenset(user_id for user_id, _ in rows), rows[-1][1] if rows else after)

    async def last_seq(self) -> int:
        """See ``Journal``."""
        return await self._database.read(lambda connection: connection.execute(_LAST_SEQ).scalar_one(), many=False)


def _append(connection: Connection, facts: Sequence[Fact]) -> list[AppendStatus]:
    """Append, one transaction at a time: the locked row holds the last ``seq``.

    Without the lock one transaction could be seen before another that took smaller numbers.
    """
    last_seq = seq = connection.execute(_LAST_SEQ.with_for_update()).scalar_one()
    known = _known_content(connection, facts)
    statuses, rows = [], []
    for fact in facts:
        content = _content(fact)
        first = known.setdefault(fact.event_id, content) if fact.event_id else None
        if first is None or first is content:
            seq += 1
            rows.append({"seq": seq, **fact._asdict()})
            statuses.append(AppendStatus.ACCEPTED)
        else:
            statuses.append(AppendStatus.DUPLICATE if first == content else AppendStatus.CONFLICT)
    if seq > last_seq:
        connection.execute(insert(FACTS), rows)
        connection.execute(update(WATERMARKS).where(_IS_MINE).values(seq=seq))
    return statuses


def _known_content(connection: Connection, facts: Sequence[Fact]) -> dict[str, tuple[Any, ...]]:
    """The content of the facts in the journal that have one of these facts' event ids, by that id."""
    parameters = {"event_ids": [fact.event_id for fact in facts if fact.event_id]}
    return {row[0]: tuple(row[1:]) for row in connection.execute(_KNOWN[connection.dialect.name], parameters)}


def _content(fact: Fact) -> tuple[Any, ...]:
    return tuple(getattr(fact, name) for name in _CONTENT)

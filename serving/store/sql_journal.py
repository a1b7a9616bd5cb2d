"""The journal in SQL, on SQLite and PostgreSQL alike."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
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
    Row,
    Select,
    Text,
    and_,
    any_,
    bindparam,
    cast,
    exists,
    func,
    literal,
    or_,
    select,
)

from serving.store.database import Database
from serving.store.journal import AppendStatus, Entry, Fact, FactType, Hide, JournalHeld, NoteEvent, Touched, Wishes
from serving.store.sql_erasures import erased_among
from serving.store.sql_hides import SqlHides
from serving.store.sql_profiles import with_flags_kept
from serving.store.sql_recommendation_counts import recounted
from serving.store.sql_recommending import note_events, wishes
from serving.store.sql_retention import RETIRED_BEFORE, end_of_page, has_retirable, retire
from serving.store.sql_sequence import LAST_SEQ, add_facts, lock_journal
from serving.store.sql_user_facts import erase_some, held_of
from serving.store.tables import FACTS
from serving.workers import MANY_USERS

_CONTENT: Final = [name for name in Fact._fields if name != "received_at"]


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


def _next_users() -> Select[Any]:
    """The next users: one look into the index for each, however many facts they have."""
    first = select(func.min(FACTS.c.user_id).label("user_id"), literal(1).label("n"))
    page = first.where(FACTS.c.user_id > bindparam("after", type_=Text)).cte("page", recursive=True)
    following = select(func.min(FACTS.c.user_id)).where(FACTS.c.user_id > page.c.user_id).scalar_subquery()
    more = and_(page.c.n < bindparam("limit", type_=BigInteger), page.c.user_id.is_not(None))
    page = page.union_all(select(following, page.c.n + 1).where(more))
    return select(page.c.user_id).where(page.c.user_id.is_not(None)).order_by(page.c.n)


_USERS: Final = _next_users()
_KNOWN: Final = {
    "sqlite": _known(FACTS.c.event_id.in_(bindparam("event_ids", expanding=True))),
    "postgresql": _known(FACTS.c.event_id == any_(bindparam("event_ids", type_=ARRAY(Text)))),
}
_AFTER: Final = bindparam("after", type_=Text)
_ENTRIES: Final = {
    "sqlite": _entries(func.json_each(_AFTER)),
    "postgresql": _entries(func.json_each_text(cast(_AFTER, JSON))),
}
_IS_PAST: Final = or_(FACTS.c.occurred_at < bindparam("before", type_=BigInteger), FACTS.c.type != FactType.EVENT)
_HISTORY: Final = {dialect: entries.where(_IS_PAST) for dialect, entries in _ENTRIES.items()}
_TOUCHED: Final = select(FACTS.c.user_id, FACTS.c.seq).where(FACTS.c.seq > bindparam("after")).order_by(FACTS.c.seq)

_LATER: Final = FACTS.alias("later")
_IS_REPLACED: Final = (
    exists()
    .where(_LATER.c.user_id == FACTS.c.user_id, _LATER.c.seq > FACTS.c.seq, _LATER.c.type == FactType.PROFILE)
    .correlate(FACTS)
)
_STILL_TRUE: Final = (
    select(FACTS.c.seq, *(FACTS.c[name] for name in Fact._fields))
    .where(
        FACTS.c.seq > bindparam("after"),
        or_(FACTS.c.type == FactType.EVENT, and_(FACTS.c.type == FactType.PROFILE, ~_IS_REPLACED)),
    )
    .order_by(FACTS.c.seq)
)


class SqlJournal:
    """A ``Journal``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._hides = SqlHides(database)

    async def append(self, facts: Sequence[Fact]) -> list[AppendStatus]:
        """See ``Journal``."""
        return await self._database.write(lambda connection: _append(connection, facts))

    async def entries(self, after: Mapping[str, int]) -> dict[str, list[Entry]]:
        """See ``Journal``."""
        parameters = {"after": json.dumps(after)}
        rows = await self._database.read(
            lambda connection: connection.execute(_ENTRIES[connection.dialect.name], parameters).all(),
            many=len(after) >= MANY_USERS or not all(after.values()),  # a whole log may be long
        )
        return _by_user(rows)

    async def history(self, user_ids: Collection[str], *, before: int) -> dict[str, list[Entry]]:
        """See ``Journal``."""
        parameters = {"after": json.dumps(dict.fromkeys(user_ids, 0)), "before": before}
        rows = await self._database.read_long(
            lambda there: there.execute(_HISTORY[there.dialect.name], parameters).all()
        )
        return _by_user(rows)

    async def note_events(self, user_id: str, *, before: int | None, limit: int) -> list[NoteEvent]:
        """See ``Journal``."""
        return await self._database.read(lambda there: note_events(there, user_id, before, limit), many=False)

    async def hides(self, user_id: str, *, before: int | None) -> Sequence[Hide]:
        """See ``Journal``."""
        return await (self._hides.of(user_id) if before is None else self._hides.past(user_id, before=before))

    async def wishes(self, user_id: str) -> Wishes:
        """See ``Journal``."""
        return await self._database.read(lambda connection: wishes(connection, user_id), many=False)

    async def touched(self, after: int, *, limit: int) -> Touched:
        """See ``Journal``."""
        page = _TOUCHED.limit(limit)
        rows = await self._database.read(lambda connection: connection.execute(page, {"after": after}).all(), many=True)
        return Touched(frozenset(user_id for user_id, _ in rows), rows[-1][1] if rows else after)

    async def users(self, after: str, *, limit: int) -> list[str]:
        """See ``Journal``."""
        page = {"after": after, "limit": limit}
        return await self._database.read(
            lambda connection: list(connection.execute(_USERS, page).scalars()), many=limit >= MANY_USERS
        )

    async def check(self) -> None:
        """See ``Journal``."""
        await self._database.write(lock_journal)

    async def received_after(self, seq: int) -> int | None:
        """See ``Journal``."""
        first = select(FACTS.c.received_at).where(FACTS.c.seq > seq).order_by(FACTS.c.seq).limit(1)
        return await self._database.read(lambda connection: connection.scalar(first), many=False)

    async def last_seq(self) -> int:
        """See ``Journal``."""
        return await self._database.read(lambda connection: connection.execute(LAST_SEQ).scalar_one(), many=False)

    async def held(self, user_id: str) -> JournalHeld | None:
        """See ``Journal``."""
        return await self._database.read(lambda connection: held_of(connection, user_id), many=True)

    async def erase(self, user_id: str) -> None:
        """See ``Journal``."""
        self._hides.forget(user_id)
        while await self._database.write(lambda connection: erase_some(connection, user_id)):
            pass
        await self._database.scrub()

    async def page(self, after: int, *, limit: int) -> list[tuple[int, Fact]]:
        """See ``Journal``."""
        page, parameters = _STILL_TRUE.limit(limit), {"after": after}
        rows = await self._database.read_long(lambda connection: connection.execute(page, parameters).all())
        return [(seq, Fact._make(fields)) for seq, *fields in rows]

    async def retire(self, after: int, *, before: int, at: int, limit: int) -> int | None:
        """See ``Journal``."""
        read, write = self._database.read_long, self._database.write
        reached = await read(lambda there: end_of_page(there, after, before=before, limit=limit))
        if reached and await read(lambda there: has_retirable(there, after, reached, before=before)):
            await write(lambda here: retire(here, after, reached, before=before, at=at))
        return reached

    async def retired_before(self) -> int:
        """See ``Journal``."""
        return await self._database.read(lambda there: there.execute(RETIRED_BEFORE).scalar() or 0, many=False)


def _by_user(rows: Sequence[Row[Any]]) -> dict[str, list[Entry]]:
    return {user_id: [Entry._make(row[1:]) for row in own] for user_id, own in groupby(rows, itemgetter(0))}


def _append(connection: Connection, facts: Sequence[Fact]) -> list[AppendStatus]:
    """Append, one transaction at a time."""
    last_seq = lock_journal(connection)
    facts = with_flags_kept(connection, facts)
    known = _known_content(connection, facts)
    erased = erased_among(connection, {*_users(facts)})
    statuses, new = [], []
    for sent in facts:
        if sent.user_id in erased:
            statuses.append(AppendStatus.ERASED)
            continue
        fact = sent._replace(target_user_id=None) if sent.target_user_id in erased else sent
        content = _content(fact)
        first = known.setdefault(fact.event_id, content) if fact.event_id else None
        if first is None or first is content:
            new.append(fact)
            statuses.append(AppendStatus.ACCEPTED)
        else:
            statuses.append(AppendStatus.DUPLICATE if first == content else AppendStatus.CONFLICT)
    with recounted(connection, {fact.recommendation_id for fact in new if fact.recommendation_id}):
        add_facts(connection, last_seq, new)
    return statuses


def _known_content(connection: Connection, facts: Sequence[Fact]) -> dict[str, tuple[Any, ...]]:
    """The content of the facts in the journal that have one of these facts' event ids, by that id."""
    parameters = {"event_ids": [fact.event_id for fact in facts if fact.event_id]}
    return {row[0]: tuple(row[1:]) for row in connection.execute(_KNOWN[connection.dialect.name], parameters)}


def _users(facts: Sequence[Fact]) -> Iterator[str]:
    """Whom facts are about, and whom they name."""
    for fact in facts:
        yield fact.user_id
        if fact.target_user_id is not None:
            yield fact.target_user_id


def _content(fact: Fact) -> tuple[Any, ...]:
    return tuple(getattr(fact, name) for name in _CONTENT)

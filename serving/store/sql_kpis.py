"""The KPIs in SQL, on SQLite and PostgreSQL alike."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, case, delete, func, insert, select, update

from serving.store.database import Database
from serving.store.desk_tables import KPI_COHORTS, KPI_COUNTS, KPI_DAYS, USER_SEGMENTS
from serving.store.kpis import Cohort, DayCounts, DaySums, NoteCounts, Rolled, UserSegment
from serving.store.sql_erasures import erased_among
from serving.store.sql_sequence import lock_journal
from serving.store.tables import NOTE_LABELS, NOTE_SCORES, WATERMARKS

_BEGUN: Final = WATERMARKS.c.name == "kpis_begun"
_ROLLED: Final = WATERMARKS.c.name == "kpis"
_D: Final = KPI_DAYS.c
_N: Final = KPI_COUNTS.c
_S: Final = USER_SEGMENTS.c


class SqlKpis:
    """A ``KpiStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, at: int, *, unless_since: int) -> bool:
        """See ``KpiStore``."""
        taking = update(WATERMARKS).where(_BEGUN, WATERMARKS.c.seq < unless_since).values(seq=at)
        return bool(await self._database.write(lambda connection: connection.execute(taking).rowcount))

    async def move(self, day: int, users: Sequence[UserSegment]) -> Counter[str]:
        """See ``KpiStore``."""
        return await self._database.write(lambda connection: _move(connection, day, users))

    async def users(self, *, tier: str | None, stage: str | None, after: str, limit: int) -> list[UserSegment]:
        """See ``KpiStore``."""
        asked = [column == value for column, value in ((_S.tier, tier), (_S.stage, stage)) if value is not None]
        statement = select(_S.user_id, _S.tier, _S.stage).where(*asked, _S.user_id > after).order_by(_S.user_id)
        rows = await self._database.read(lambda there: there.execute(statement.limit(limit)).all(), many=True)
        return [UserSegment._make(row) for row in rows]

    async def held(self, user_id: str) -> UserSegment | None:
        """See ``KpiStore``."""
        statement = select(_S.user_id, _S.tier, _S.stage).where(_S.user_id == user_id)
        row = await self._database.read(lambda connection: connection.execute(statement).one_or_none(), many=False)
        return UserSegment._make(row) if row else None

    async def erase(self, user_id: str) -> None:
        """See ``KpiStore``."""
        await self._database.write(lambda there: there.execute(delete(USER_SEGMENTS).where(_S.user_id == user_id)))
        await self._database.scrub()

    async def put(self, rolled: Rolled, *, day: int) -> None:
        """See ``KpiStore``."""
        await self._database.write(lambda connection: _put(connection, rolled, day))

    async def days(self, segment: str, *, since: int, before: int) -> list[DaySums]:
        """See ``KpiStore``."""
        statement = select(KPI_DAYS).where(_D.segment == segment, _D.day >= since, _D.day < before).order_by(_D.day)
        rows = await self._database.read(lambda connection: connection.execute(statement).all(), many=True)
        return [DaySums(row.segment, row.day, json.loads(row.sums)) for row in rows]

    async def counts(self, *, since: int, before: int) -> list[DayCounts]:
        """See ``KpiStore``."""
        statement = select(KPI_COUNTS).where(_N.day >= since, _N.day < before).order_by(_N.day)
        rows = await self._database.read(lambda connection: connection.execute(statement).all(), many=True)
        return [DayCounts(row.day, json.loads(row.counts)) for row in rows]

    async def cohorts(self) -> list[Cohort]:
        """See ``KpiStore``."""
        statement = select(KPI_COHORTS).order_by(KPI_COHORTS.c.week)
        rows = await self._database.read(lambda connection: connection.execute(statement).all(), many=True)
        return [Cohort(row.week, json.loads(row.n_active)) for row in rows]

    async def notes(self) -> NoteCounts:
        """See ``KpiStore``."""
        return await self._database.read_long(_notes)

    async def rolled_at(self) -> int | None:
        """See ``KpiStore``."""
        statement = select(WATERMARKS.c.seq).where(_ROLLED)
        return await self._database.read(lambda there: there.execute(statement).scalar_one(), many=False) or None


def _move(connection: Connection, day: int, users: Sequence[UserSegment]) -> Counter[str]:
    lock_journal(connection)  # so that no erasure of a user begins meanwhile
    erased = erased_among(connection, {one.user_id for one in users})
    known = select(USER_SEGMENTS).where(_S.user_id.in_([one.user_id for one in users]))
    rows = {row.user_id: row for row in connection.execute(known)}
    flows, changed = Counter[str](), []
    for one in users:
        if one.user_id in erased:
            continue
        row = rows.get(one.user_id)
        before: tuple[str | None, str | None] = None, None
        if row is not None:
            before = (row.tier, row.stage) if row.day < day else (row.tier_before, row.stage_before)
        if row is None or (row.day, row.tier, row.stage) != (day, one.tier, one.stage):
            changed.append({**one._asdict(), "day": day, "tier_before": before[0], "stage_before": before[1]})
        for kind, was, now in (("tier", before[0], one.tier), ("stage", before[1], one.stage)):
            if was is not None and was != now:
                flows[f"{kind}:{was}>{now}"] += 1
    if changed:
        connection.execute(delete(USER_SEGMENTS).where(_S.user_id.in_([one["user_id"] for one in changed])))
        connection.execute(insert(USER_SEGMENTS), changed)
    return flows


def _put(connection: Connection, rolled: Rolled, day: int) -> None:
    moving = update(WATERMARKS).where(_ROLLED, WATERMARKS.c.seq <= rolled.as_of).values(seq=rolled.as_of)
    if not connection.execute(moving).rowcount:
        return  # a later one is there
    connection.execute(delete(KPI_DAYS))
    connection.execute(delete(KPI_COHORTS))
    connection.execute(delete(KPI_COUNTS).where(_N.day == day))
    days = [one._asdict() | {"sums": json.dumps(one.sums)} for one in rolled.days]
    cohorts = [{"week": one.week, "n_active": json.dumps(one.n_active)} for one in rolled.cohorts]
    counts: list[dict[str, Any]] = [{"day": day, "counts": json.dumps(rolled.counts)}]
    for table, rows in ((KPI_DAYS, days), (KPI_COHORTS, cohorts), (KPI_COUNTS, counts)):
        if rows:
            connection.execute(insert(table), rows)


def _notes(connection: Connection) -> NoteCounts:
    tenth = case(*((NOTE_SCORES.c.quality < 10 * (place + 1), place) for place in range(9)), else_=9)
    tenths = select(tenth.label("place"), func.count().label("n")).group_by("place")
    decisions = select(NOTE_SCORES.c.decision, func.count()).group_by(NOTE_SCORES.c.decision)
    labels = NOTE_LABELS.c.label
    flagged = select(labels, func.count()).where(NOTE_LABELS.c.flagged).group_by(labels)
    by_tenth, by_decision, by_label = (
        dict(map(tuple, connection.execute(one))) for one in (tenths, decisions, flagged)
    )
    return NoteCounts(sum(by_tenth.values()), by_tenth, by_decision, by_label)

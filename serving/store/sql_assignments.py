"""The assignments in SQL, on SQLite and PostgreSQL alike."""

import secrets
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, and_, case, delete, func, insert, select, update

from features.state import COMMUNITY_OFFSET_US, DAY_US
from serving.store.assignments import (
    Arm,
    Assigned,
    Assignment,
    AssignmentsHeld,
    Batch,
    Candidate,
    LastAssigned,
    Outcomes,
    Wanted,
)
from serving.store.database import Database
from serving.store.desk_tables import ASSIGNMENT_BATCHES, ASSIGNMENTS
from serving.store.journal import FactType
from serving.store.sql_erasures import erased_among
from serving.store.sql_salts import salted_hash
from serving.store.sql_sequence import lock_journal
from serving.store.tables import FACTS

_A: Final = ASSIGNMENTS.c
_ERASED: Final = 2_000
_NO_ACTIVITY: Final = ("impression",)
_ENGAGEMENTS: Final = ("like", "collect", "comment", "share", "follow", "publish")


class SqlAssignments:
    """An ``AssignmentStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def assigned(self, batch_id: str, digest: str) -> Assigned | None:
        """See ``AssignmentStore``."""
        return await self._database.read(lambda connection: _assigned(connection, batch_id, digest), many=True)

    async def assign(self, batch: Batch, wanted: Sequence[Wanted]) -> Assigned:
        """See ``AssignmentStore``."""
        return await self._database.write(lambda connection: _assign(connection, batch, wanted))

    async def deliver(self, assignment_ids: Collection[tuple[str, str]], at: int) -> dict[tuple[str, str], bool]:
        """See ``AssignmentStore``."""
        return await self._database.write(lambda connection: _deliver(connection, assignment_ids, at))

    async def outcomes(self, action: str, *, since: int, before: int, window_us: int, limit: int) -> list[Outcomes]:
        """See ``AssignmentStore``."""
        statement = _outcomes(action, since, before, window_us).limit(limit)
        rows = await self._database.read(lambda connection: connection.execute(statement).all(), many=True)
        return [
            Outcomes(Arm(arm), days, int(engaged), int(bought), float(spent))
            for arm, days, engaged, bought, spent in rows
        ]

    async def actions(self, *, since: int, before: int) -> list[str]:
        """See ``AssignmentStore``."""
        within = _A.assigned_at >= since, _A.assigned_at < before
        statement = select(_A.action).where(*within).distinct().order_by(_A.action)
        return await self._database.read(lambda connection: [*connection.scalars(statement)], many=True)

    async def of_user(self, user_id: str, *, limit: int) -> list[Assignment]:
        """See ``AssignmentStore``."""
        statement = select(ASSIGNMENTS).where(_A.user_id == user_id).order_by(_A.assigned_at.desc()).limit(limit)
        rows = await self._database.read(lambda connection: connection.execute(statement).all(), many=True)
        return [_assignment(row) for row in rows]

    async def last_assigned(self, user_ids: Sequence[str]) -> list[LastAssigned]:
        """See ``AssignmentStore``."""
        last = select(_A.user_id, _A.action, _A.arm, func.max(_A.assigned_at)).where(_A.user_id.in_(user_ids))
        statement = last.group_by(_A.user_id, _A.action, _A.arm)
        rows = await self._database.read(lambda connection: connection.execute(statement).all(), many=True)
        return [LastAssigned(user_id, action, Arm(arm), at) for user_id, action, arm, at in rows]

    async def retire(self, before: int, *, limit: int) -> int:
        """See ``AssignmentStore``."""
        return await self._database.write(lambda connection: _retire(connection, before, limit))

    async def held(self, user_id: str) -> AssignmentsHeld | None:
        """See ``AssignmentStore``."""
        columns = func.count(), func.min(_A.assigned_at), func.max(_A.assigned_at)
        statement = select(*columns).where(_A.user_id == user_id)
        row = await self._database.read(lambda connection: connection.execute(statement).one(), many=False)
        return AssignmentsHeld._make(row) if row[0] else None

    async def erase(self, user_id: str) -> None:
        """See ``AssignmentStore``."""
        some = select(_A.assignment_id).where(_A.user_id == user_id).limit(_ERASED)
        statement = delete(ASSIGNMENTS).where(_A.assignment_id.in_(some))
        while await self._database.write(lambda connection: connection.execute(statement).rowcount):
            pass
        await self._database.scrub()


def _assigned(connection: Connection, batch_id: str, digest: str) -> Assigned | None:
    of_batch = select(ASSIGNMENT_BATCHES.c.digest).where(ASSIGNMENT_BATCHES.c.batch_id == batch_id)
    known = connection.execute(of_batch).scalar_one_or_none()
    if known is None:
        return None
    rows = connection.execute(select(ASSIGNMENTS).where(_A.batch_id == batch_id)).all()
    return Assigned({row.user_id: _assignment(row) for row in rows}, known == salted_hash(connection, digest))


def _assign(connection: Connection, batch: Batch, wanted: Sequence[Wanted]) -> Assigned:
    lock_journal(connection)  # one batch at a time, and no erasure begins meanwhile
    if done := _assigned(connection, batch.batch_id, batch.digest):
        return done
    row = {"batch_id": batch.batch_id, "digest": salted_hash(connection, batch.digest), "assigned_at": batch.at}
    connection.execute(insert(ASSIGNMENT_BATCHES), row)
    erased = erased_among(connection, {one.user_id for one in wanted})
    had = _last_assigned(connection, [one.user_id for one in wanted])
    n_today = _n_treated(connection, batch.since)
    made: dict[str, Assignment] = {}
    for one in wanted:
        chosen = None if one.user_id in erased else _first(one, had, n_today)
        if chosen:
            n_today[chosen.action] += chosen.arm is Arm.TREATMENT
            made[one.user_id] = Assignment(
                secrets.token_hex(12),
                batch.batch_id,
                one.user_id,
                chosen.action,
                chosen.arm,
                batch.at,
                one.tier,
                one.stage,
                one.probability,
                batch.policy_version,
                batch.model_version,
                None,
            )
    if made:
        connection.execute(insert(ASSIGNMENTS), [one._asdict() for one in made.values()])
    return Assigned(made, is_same=True)


def _first(wanted: Wanted, had: Mapping[tuple[str, str], int], n_today: Mapping[str, int]) -> Candidate | None:
    for one in wanted.candidates:
        is_rested = had.get((wanted.user_id, one.action), -1) < one.not_since
        if is_rested and (one.daily_cap is None or n_today[one.action] < one.daily_cap):
            return one
    return None


def _last_assigned(connection: Connection, user_ids: Sequence[str]) -> dict[tuple[str, str], int]:
    last = select(_A.user_id, _A.action, func.max(_A.assigned_at)).where(_A.user_id.in_(user_ids))
    return {(user, action): at for user, action, at in connection.execute(last.group_by(_A.user_id, _A.action))}


def _n_treated(connection: Connection, since: int) -> Counter[str]:
    today = select(_A.action, func.count().label("n")).where(_A.assigned_at >= since, _A.arm == Arm.TREATMENT)
    return Counter({row.action: row.n for row in connection.execute(today.group_by(_A.action))})


def _deliver(connection: Connection, ids: Collection[tuple[str, str]], at: int) -> dict[tuple[str, str], bool]:
    named = select(_A.assignment_id, _A.user_id, _A.delivered_at).where(_A.assignment_id.in_([one for one, _ in ids]))
    known = {(one, user): delivered is None for one, user, delivered in connection.execute(named) if (one, user) in ids}
    new = [one for (one, _), is_new in known.items() if is_new]
    connection.execute(update(ASSIGNMENTS).where(_A.assignment_id.in_(new)).values(delivered_at=at))
    return known


def _outcomes(action: str, since: int, before: int, window_us: int) -> Any:
    """One row for each user: the arm of the first assignment, and sums over what followed."""
    within = _A.action == action, _A.assigned_at >= since, _A.assigned_at < before
    first = select(_A.user_id, func.min(_A.assigned_at).label("at")).where(*within).group_by(_A.user_id).subquery()
    f = FACTS.c
    follows = and_(
        f.user_id == _A.user_id,
        f.type == FactType.EVENT,
        f.event.not_in(_NO_ACTIVITY),
        f.occurred_at >= _A.assigned_at,
        f.occurred_at < _A.assigned_at + window_us,
    )
    day = (f.occurred_at + COMMUNITY_OFFSET_US) - (f.occurred_at + COMMUNITY_OFFSET_US) % DAY_US
    sums = [
        func.count(day.distinct()),
        func.sum(case((f.event.in_(_ENGAGEMENTS), 1), else_=0)),
        func.sum(case((f.event == "purchase", 1), else_=0)),
        func.sum(case((f.event == "purchase", func.coalesce(f.value, 0.0)), else_=0.0)),
    ]
    return (
        select(_A.arm, *sums)
        .select_from(ASSIGNMENTS)
        .join(first, and_(first.c.user_id == _A.user_id, first.c.at == _A.assigned_at))
        .outerjoin(FACTS, follows)
        .where(*within)
        .group_by(_A.assignment_id, _A.arm)
        .order_by(_A.assignment_id)
    )


def _retire(connection: Connection, before: int, limit: int) -> int:
    some = select(_A.assignment_id).where(_A.assigned_at < before).limit(limit)
    gone = connection.execute(delete(ASSIGNMENTS).where(_A.assignment_id.in_(some))).rowcount
    if not gone:
        connection.execute(delete(ASSIGNMENT_BATCHES).where(ASSIGNMENT_BATCHES.c.assigned_at < before))
    return gone


def _assignment(row: Row[Any]) -> Assignment:
    fields = {name: getattr(row, name) for name in Assignment._fields}
    return Assignment(**{**fields, "arm": Arm(row.arm)})

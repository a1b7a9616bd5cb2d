"""The audit log in SQL, on SQLite and PostgreSQL alike; triggers refuse what would change it."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, delete, insert, select

from serving.acting import ActorKind
from serving.store.audit import Action, ActionOutcome, AuditEntry, AuditQuery, NewEntry, Target, TargetKind
from serving.store.database import Database
from serving.store.desk_tables import AUDIT_LOG
from serving.store.sql_salts import salted_hash

_C: Final = AUDIT_LOG.c


def write_down(connection: Connection, entry: NewEntry) -> None:
    """Put something on record, in the transaction of what it tells."""
    by = entry.actor
    row = {
        "occurred_at": entry.occurred_at,
        "actor_kind": by.kind,
        "actor": by.name,
        "action": entry.action,
        "target_kind": entry.target and entry.target.kind,
        "target": entry.target and _name(connection, entry.target),
        "outcome": entry.outcome,
        "detail": entry.detail,
        "address": by.address,
        "request_id": by.request_id,
    }
    connection.execute(insert(AUDIT_LOG), row)


class SqlAudit:
    """An ``AuditStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, entry: NewEntry) -> None:
        """See ``AuditStore``."""
        await self._database.write(lambda connection: write_down(connection, entry))

    async def page(self, query: AuditQuery, *, before_no: int | None, limit: int) -> Sequence[AuditEntry]:
        """See ``AuditStore``."""
        statement = select(AUDIT_LOG).where(*_conditions(query)).order_by(_C.entry_no.desc()).limit(limit)
        if before_no is not None:
            statement = statement.where(_C.entry_no < before_no)
        rows = await self._database.read(lambda connection: connection.execute(statement).all(), many=True)
        return [_entry(row) for row in rows]

    async def pseudonym(self, user_id: str) -> str:
        """See ``AuditStore``."""
        return await self._database.read(lambda connection: salted_hash(connection, user_id), many=False)

    async def retire(self, before: int, *, limit: int) -> int:
        """See ``AuditStore``."""
        old = select(_C.entry_no).where(_C.occurred_at < before).order_by(_C.occurred_at).limit(limit)
        statement = delete(AUDIT_LOG).where(_C.entry_no.in_(old))
        return await self._database.write(lambda connection: connection.execute(statement).rowcount)


def _conditions(query: AuditQuery) -> list[ColumnElement[bool]]:
    named = ("action", "actor_kind", "actor", "target_kind", "target", "outcome")
    same = [_C[name] == value for name in named if (value := getattr(query, name)) is not None]
    since = [] if query.since is None else [_C.occurred_at >= query.since]
    return [*same, *since, *([] if query.before is None else [_C.occurred_at < query.before])]


def _name(connection: Connection, target: Target) -> str:
    return salted_hash(connection, target.name) if target.kind is TargetKind.USER else target.name


def _entry(row: Row[Any]) -> AuditEntry:
    return AuditEntry._make(row)._replace(
        actor_kind=ActorKind(row.actor_kind),
        action=Action(row.action),
        target_kind=row.target_kind and TargetKind(row.target_kind),
        outcome=ActionOutcome(row.outcome),
    )

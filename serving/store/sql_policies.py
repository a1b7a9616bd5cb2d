"""The policies in SQL, on SQLite and PostgreSQL alike."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row, insert, select

from serving.acting import Actor, actor
from serving.store.audit import Action, ActionOutcome, NewEntry, Target, TargetKind
from serving.store.database import Database
from serving.store.policies import Deed, InForce, PolicyChange, Role, StoredPolicy, What
from serving.store.sql_audit import write_down
from serving.store.sql_erasures import insert_new
from serving.store.tables import POLICIES, POLICY_CHANGES, WATERMARKS

_C: Final = POLICY_CHANGES.c
_NEWEST: Final = select(POLICY_CHANGES).order_by(_C.change_no.desc())
_ACTIONS: Final = {
    What.ADD: Action.POLICY_ADD,
    What.ACTIVATE: Action.POLICY_ACTIVATE,
    What.SHADOW: Action.POLICY_SHADOW,
    What.ROLLBACK: Action.POLICY_ROLLBACK,
}


class SqlPolicies:
    """A ``PolicyStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, policy: StoredPolicy, deed: Deed) -> None:
        """See ``PolicyStore``."""
        change = _Change(deed, actor())
        await self._database.write(lambda connection: _add(connection, policy, change))

    async def get(self, version: str) -> StoredPolicy | None:
        """See ``PolicyStore``."""
        statement = select(POLICIES).where(POLICIES.c.version == version)
        row = await self._database.read(lambda connection: connection.execute(statement).one_or_none(), many=False)
        return StoredPolicy._make(row) if row else None

    async def newest(self, *, limit: int) -> list[StoredPolicy]:
        """See ``PolicyStore``."""
        statement = select(POLICIES).order_by(POLICIES.c.stored_at.desc(), POLICIES.c.version).limit(limit)
        rows = await self._database.read(lambda connection: connection.execute(statement).all(), many=True)
        return [StoredPolicy._make(row) for row in rows]

    async def in_force(self) -> InForce:
        """See ``PolicyStore``."""
        return await self._database.read(
            lambda connection: InForce(_last(connection, Role.ACTIVE), _last(connection, Role.SHADOW)), many=False
        )

    async def put_in_force(self, role: Role, version: str | None, deed: Deed, *, shipped: StoredPolicy) -> None:
        """See ``PolicyStore``."""
        change = _Change(deed, actor())
        await self._database.write(lambda connection: _put_in_force(connection, role, version, change, shipped))

    async def roll_back(self, deed: Deed) -> str | None:
        """See ``PolicyStore``."""
        change = _Change(deed, actor())
        return await self._database.write(lambda connection: _roll_back(connection, change))

    async def changes(self, *, before_no: int | None, limit: int) -> Sequence[PolicyChange]:
        """See ``PolicyStore``."""
        statement = _NEWEST.limit(limit)
        if before_no is not None:
            statement = statement.where(_C.change_no < before_no)
        rows = await self._database.read(lambda connection: connection.execute(statement).all(), many=True)
        return [_change(row) for row in rows]


class _Change(NamedTuple):
    """What is done, and who acts."""

    deed: Deed
    by: Actor


def _lock(connection: Connection) -> None:
    """Take turns: each change knows what it changes."""
    connection.execute(select(WATERMARKS.c.seq).where(WATERMARKS.c.name == "policies").with_for_update())


def _add(connection: Connection, policy: StoredPolicy, change: _Change) -> None:
    _lock(connection)
    if connection.execute(insert_new(connection, POLICIES), policy._asdict()).rowcount:
        _write_down(connection, What.ADD, change, role=None, before=None, after=policy.version)


def _put_in_force(
    connection: Connection, role: Role, version: str | None, change: _Change, shipped: StoredPolicy
) -> None:
    _lock(connection)
    last = _last(connection, role)
    before = last.after if last else shipped.version if role is Role.ACTIVE else None
    if version == before:
        return
    connection.execute(insert_new(connection, POLICIES), shipped._asdict())
    what = What.ACTIVATE if role is Role.ACTIVE else What.SHADOW
    _write_down(connection, what, change, role=role, before=before, after=version)


def _roll_back(connection: Connection, change: _Change) -> str | None:
    _lock(connection)
    active = _last(connection, Role.ACTIVE)
    if active is None:
        return None
    came = _NEWEST.where(_C.what == What.ACTIVATE, _C.after == active.after).limit(1)
    activation = connection.execute(came).one_or_none()
    if activation is None:
        return None
    before: str = activation.before
    _write_down(connection, What.ROLLBACK, change, role=Role.ACTIVE, before=active.after, after=before)
    return before


def _last(connection: Connection, role: Role) -> PolicyChange | None:
    row = connection.execute(_NEWEST.where(_C.role == role).limit(1)).one_or_none()
    return _change(row) if row else None


def _write_down(
    connection: Connection, what: What, change: _Change, *, role: Role | None, before: str | None, after: str | None
) -> None:
    deed = change.deed
    row = {"changed_at": deed.at, "who": deed.who, "what": what, "role": role, "why": deed.why}
    connection.execute(insert(POLICY_CHANGES), row | {"before": before, "after": after})
    target = Target(TargetKind.POLICY, after) if after else None
    write_down(connection, NewEntry(deed.at, change.by, _ACTIONS[what], target, ActionOutcome.DONE, ""))


def _change(row: Row[Any]) -> PolicyChange:
    change = PolicyChange._make(row)
    return change._replace(what=What(change.what), role=change.role and Role(change.role))

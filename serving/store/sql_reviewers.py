"""The people who review, in SQL, on SQLite and PostgreSQL alike."""

from typing import Any, Final

from sqlalchemy import Connection, Row, Text, bindparam, delete, exists, insert, or_, select, update

from serving.store.audit import Action, ActionOutcome, NewEntry, Target, TargetKind, entry
from serving.store.database import Database
from serving.store.desk_tables import REVIEWER_SESSIONS, REVIEWERS
from serving.store.reviewers import Reviewer, ReviewerSession, Role
from serving.store.sql_audit import write_down
from serving.store.sql_erasures import insert_new
from serving.store.tables import SALTS

_P: Final = REVIEWERS.c
_S: Final = REVIEWER_SESSIONS.c
_OTHER: Final = REVIEWERS.alias("other")


class SqlReviewers:
    """A ``ReviewerStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, reviewer: Reviewer) -> bool:
        """See ``ReviewerStore``."""
        told = entry(Action.PERSON_ADD, _person(reviewer.reviewer_id), at=reviewer.created_at, detail=reviewer.role)
        return await self._database.write(lambda connection: _add(connection, reviewer, told))

    async def named(self, name: str) -> Reviewer | None:
        """See ``ReviewerStore``."""
        statement = select(REVIEWERS).where(_P.name == name)
        row = await self._database.read(lambda connection: connection.execute(statement).one_or_none(), many=False)
        return _reviewer(row) if row else None

    async def of_subject(self, subject: str) -> Reviewer | None:
        """See ``ReviewerStore``."""
        statement = select(REVIEWERS).where(_P.subject == subject)
        row = await self._database.read(lambda connection: connection.execute(statement).one_or_none(), many=False)
        return _reviewer(row) if row else None

    async def all(self) -> list[Reviewer]:
        """See ``ReviewerStore``."""
        statement = select(REVIEWERS).order_by(_P.name)
        rows = await self._database.read(lambda connection: connection.execute(statement).all(), many=True)
        return [_reviewer(row) for row in rows]

    async def set_password(self, name: str, password_hash: str, *, at: int) -> bool:
        """See ``ReviewerStore``."""
        changed = {"password_hash": password_hash, "subject": None, "asking": None}
        return await self._change(name, changed, entry(Action.PERSON_RESET, None, at=at))

    async def set_role(self, name: str, role: Role, *, at: int) -> bool:
        """See ``ReviewerStore``."""
        return await self._change(name, {"role": role}, entry(Action.PERSON_ROLE, None, at=at, detail=role))

    async def disable(self, name: str, *, at: int) -> bool:
        """See ``ReviewerStore``."""
        return await self._change(name, {"disabled_at": at}, entry(Action.PERSON_DISABLE, None, at=at))

    async def ask(self, name: str, subject: str) -> bool:
        """See ``ReviewerStore``."""
        may_ask = (_P.name == name, _P.password_hash.is_(None), _P.subject.is_(None), _P.disabled_at.is_(None))
        is_first = or_(_P.asking.is_(None), _P.asking == subject)
        statement = update(REVIEWERS).where(*may_ask, is_first).values(asking=subject)
        return await self._database.write(lambda connection: bool(connection.execute(statement).rowcount))

    async def bind(self, name: str, subject: str | None, *, at: int) -> bool:
        """See ``ReviewerStore``."""
        told = entry(Action.PERSON_ACCOUNT, None, at=at, detail="bound" if subject else "forgotten")
        is_free = ~exists().where(_OTHER.c.subject == bindparam(None, subject, Text), _OTHER.c.name != name)
        return await self._change(name, {"subject": subject, "asking": None}, told, _P.password_hash.is_(None), is_free)

    async def device_key(self) -> bytes:
        """See ``ReviewerStore``."""
        statement = select(SALTS.c.salt).where(SALTS.c.name == "devices")
        return await self._database.read(lambda connection: connection.execute(statement).scalar_one(), many=False)

    async def sign_in(self, session: ReviewerSession, *, at: int) -> None:
        """See ``ReviewerStore``."""
        told = entry(Action.SIGN_IN, _person(session.reviewer_id), at=at)
        await self._database.write(lambda connection: _sign_in(connection, session, told))

    async def refuse(self, reviewer_id: str | None, *, at: int) -> None:
        """See ``ReviewerStore``."""
        whose = reviewer_id and _person(reviewer_id)
        told = entry(Action.SIGN_IN, whose or None, at=at, outcome=ActionOutcome.REFUSED)
        await self._database.write(lambda connection: write_down(connection, told))

    async def session(self, session_hash: str) -> tuple[ReviewerSession, Reviewer] | None:
        """See ``ReviewerStore``."""
        statement = (
            select(REVIEWERS, *(_S[name].label(f"session_{name}") for name in ReviewerSession._fields))
            .join(REVIEWER_SESSIONS, _S.reviewer_id == _P.reviewer_id)
            .where(_S.session_hash == session_hash)
        )
        row = await self._database.read(lambda connection: connection.execute(statement).one_or_none(), many=False)
        if row is None:
            return None
        session = ReviewerSession(*(getattr(row, f"session_{name}") for name in ReviewerSession._fields))
        return session, _reviewer(row)

    async def extend(self, session_hash: str, expires_at: int) -> None:
        """See ``ReviewerStore``."""
        statement = update(REVIEWER_SESSIONS).where(_S.session_hash == session_hash).values(expires_at=expires_at)
        await self._database.write(lambda connection: connection.execute(statement))

    async def sign_out(self, session_hash: str, *, at: int) -> None:
        """See ``ReviewerStore``."""
        told = entry(Action.SIGN_OUT, None, at=at)
        await self._database.write(lambda connection: _sign_out(connection, session_hash, told))

    async def sign_out_everywhere(self, reviewer_id: str, *, at: int) -> None:
        """See ``ReviewerStore``."""
        told = entry(Action.SIGN_OUT, _person(reviewer_id), at=at, detail="everywhere")
        await self._database.write(lambda connection: _end_sessions(connection, reviewer_id, told))

    async def retire_sessions(self, before: int, *, limit: int) -> int:
        """See ``ReviewerStore``."""
        some = select(_S.session_hash).where(_S.expires_at < before).limit(limit)
        statement = delete(REVIEWER_SESSIONS).where(_S.session_hash.in_(some))
        return await self._database.write(lambda connection: connection.execute(statement).rowcount)

    async def _change(self, name: str, changed: dict[str, Any], told: NewEntry, *among: Any) -> bool:
        return await self._database.write(lambda connection: _change(connection, name, changed, told, *among))


def _add(connection: Connection, reviewer: Reviewer, told: NewEntry) -> bool:
    is_new = bool(connection.execute(insert_new(connection, REVIEWERS), reviewer._asdict()).rowcount)
    if is_new:
        write_down(connection, told)
    return is_new


def _change(connection: Connection, name: str, changed: dict[str, Any], told: NewEntry, *among: Any) -> bool:
    """Change a person, end their sessions, and put it on record; whether there is such a person."""
    changing = update(REVIEWERS).where(_P.name == name, *among).values(changed).returning(_P.reviewer_id)
    reviewer_id = connection.execute(changing).scalar_one_or_none()
    if reviewer_id is None:
        return False
    _end_sessions(connection, reviewer_id, told._replace(target=_person(reviewer_id)))
    return True


def _sign_in(connection: Connection, session: ReviewerSession, told: NewEntry) -> None:
    connection.execute(insert(REVIEWER_SESSIONS), session._asdict())
    write_down(connection, told)


def _sign_out(connection: Connection, session_hash: str, told: NewEntry) -> None:
    ending = delete(REVIEWER_SESSIONS).where(_S.session_hash == session_hash).returning(_S.reviewer_id)
    if reviewer_id := connection.execute(ending).scalar_one_or_none():
        write_down(connection, told._replace(target=_person(reviewer_id)))


def _end_sessions(connection: Connection, reviewer_id: str, told: NewEntry) -> None:
    connection.execute(delete(REVIEWER_SESSIONS).where(_S.reviewer_id == reviewer_id))
    write_down(connection, told)


def _person(reviewer_id: str) -> Target:
    return Target(TargetKind.PERSON, reviewer_id)


def _reviewer(row: Row[Any]) -> Reviewer:
    fields = {name: getattr(row, name) for name in Reviewer._fields}
    return Reviewer(**{**fields, "role": Role(row.role)})

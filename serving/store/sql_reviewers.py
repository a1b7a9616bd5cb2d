"""The people who review, in SQL, on SQLite and PostgreSQL alike."""

from typing import Any, Final

from sqlalchemy import Connection, Row, case, delete, insert, or_, select, update

from serving.store.database import Database
from serving.store.desk_tables import REVIEWER_SESSIONS, REVIEWERS
from serving.store.reviewers import Reviewer, ReviewerSession, Role
from serving.store.sql_erasures import insert_new

_P: Final = REVIEWERS.c
_S: Final = REVIEWER_SESSIONS.c


class SqlReviewers:
    """A ``ReviewerStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, reviewer: Reviewer) -> bool:
        """See ``ReviewerStore``."""
        return await self._database.write(lambda connection: _add(connection, reviewer))

    async def named(self, name: str) -> Reviewer | None:
        """See ``ReviewerStore``."""
        statement = select(REVIEWERS).where(_P.name == name)
        row = await self._database.read(lambda connection: connection.execute(statement).one_or_none(), many=False)
        return _reviewer(row) if row else None

    async def all(self) -> list[Reviewer]:
        """See ``ReviewerStore``."""
        statement = select(REVIEWERS).order_by(_P.name)
        rows = await self._database.read(lambda connection: connection.execute(statement).all(), many=True)
        return [_reviewer(row) for row in rows]

    async def failed(self, reviewer_id: str, *, most: int, locked_until: int) -> None:
        """See ``ReviewerStore``."""
        is_last = _P.n_failures + 1 >= most
        counted = {
            "n_failures": case((is_last, 0), else_=_P.n_failures + 1),
            "locked_until": case((is_last, locked_until), else_=_P.locked_until),
        }
        statement = update(REVIEWERS).where(_P.reviewer_id == reviewer_id).values(counted)
        await self._database.write(lambda connection: connection.execute(statement))

    async def set_password(self, name: str, password_hash: str) -> bool:
        """See ``ReviewerStore``."""
        changed = {"password_hash": password_hash, "subject": None, "n_failures": 0, "locked_until": None}
        return await self._database.write(lambda connection: _change(connection, name, changed))

    async def bind(self, reviewer_id: str, subject: str) -> bool:
        """See ``ReviewerStore``."""
        is_theirs = or_(_P.subject.is_(None), _P.subject == subject)
        statement = update(REVIEWERS).where(_P.reviewer_id == reviewer_id, is_theirs).values(subject=subject)
        return await self._database.write(lambda connection: bool(connection.execute(statement).rowcount))

    async def disable(self, name: str, at: int) -> bool:
        """See ``ReviewerStore``."""
        return await self._database.write(lambda connection: _change(connection, name, {"disabled_at": at}))

    async def sign_in(self, session: ReviewerSession) -> None:
        """See ``ReviewerStore``."""
        await self._database.write(lambda connection: _sign_in(connection, session))

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

    async def sign_out(self, session_hash: str) -> None:
        """See ``ReviewerStore``."""
        statement = delete(REVIEWER_SESSIONS).where(_S.session_hash == session_hash)
        await self._database.write(lambda connection: connection.execute(statement))

    async def retire_sessions(self, before: int, *, limit: int) -> int:
        """See ``ReviewerStore``."""
        some = select(_S.session_hash).where(_S.expires_at < before).limit(limit)
        statement = delete(REVIEWER_SESSIONS).where(_S.session_hash.in_(some))
        return await self._database.write(lambda connection: connection.execute(statement).rowcount)


def _add(connection: Connection, reviewer: Reviewer) -> bool:
    return bool(connection.execute(insert_new(connection, REVIEWERS), reviewer._asdict()).rowcount)


def _change(connection: Connection, name: str, changed: dict[str, Any]) -> bool:
    changing = update(REVIEWERS).where(_P.name == name).values(changed).returning(_P.reviewer_id)
    reviewer_id = connection.execute(changing).scalar_one_or_none()
    connection.execute(delete(REVIEWER_SESSIONS).where(_S.reviewer_id == reviewer_id))
    return reviewer_id is not None


def _sign_in(connection: Connection, session: ReviewerSession) -> None:
    forgotten = {"n_failures": 0, "locked_until": None}
    connection.execute(update(REVIEWERS).where(_P.reviewer_id == session.reviewer_id).values(forgotten))
    connection.execute(insert(REVIEWER_SESSIONS), session._asdict())


def _reviewer(row: Row[Any]) -> Reviewer:
    fields = {name: getattr(row, name) for name in Reviewer._fields}
    return Reviewer(**{**fields, "role": Role(row.role)})

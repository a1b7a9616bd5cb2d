"""The API keys in SQL, on SQLite and PostgreSQL alike."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, or_, select, update

from serving.store.audit import Action, NewEntry, Target, TargetKind, entry
from serving.store.database import Database
from serving.store.keys import KEY_ID_CHARS, StoredKey
from serving.store.sql_audit import write_down
from serving.store.tables import API_KEYS


class SqlKeys:
    """A ``KeyStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, key_hash: str) -> StoredKey | None:
        """See ``KeyStore``."""
        statement = select(API_KEYS).where(API_KEYS.c.key_hash == key_hash)
        row = await self._database.read(lambda connection: connection.execute(statement).one_or_none(), many=False)
        return _stored(row) if row else None

    async def all(self) -> list[StoredKey]:
        """See ``KeyStore``."""
        statement = select(API_KEYS).order_by(API_KEYS.c.created_at)
        rows = await self._database.read(lambda connection: connection.execute(statement).all(), many=True)
        return [_stored(row) for row in rows]

    async def add(self, key: StoredKey) -> None:
        """See ``KeyStore``."""
        scopes = " ".join(sorted(key.scopes))
        created = entry(Action.KEY_CREATE, Target(TargetKind.KEY, key.key_id), at=key.created_at, detail=scopes)
        await self._database.write(lambda connection: _add(connection, key, created))

    async def purge(self, before: int) -> None:
        """See ``KeyStore``."""
        statement = delete(API_KEYS).where(or_(API_KEYS.c.revoked_at < before, API_KEYS.c.expires_at < before))
        await self._database.write(lambda connection: connection.execute(statement))

    async def revoke(self, label: str, at: int) -> int:
        """See ``KeyStore``."""
        return await self._revoke(API_KEYS.c.label == label, at)

    async def revoke_one(self, key_id: str, at: int) -> int:
        """See ``KeyStore``."""
        return await self._revoke(func.substr(API_KEYS.c.key_hash, 1, KEY_ID_CHARS) == key_id, at)

    async def _revoke(self, those: ColumnElement[bool], at: int) -> int:
        told = entry(Action.KEY_REVOKE, None, at=at)
        return await self._database.write(lambda connection: _revoke(connection, those, told))


def _add(connection: Connection, key: StoredKey, told: NewEntry) -> None:
    row = {**key._asdict(), "scopes": " ".join(sorted(key.scopes))}
    connection.execute(insert(API_KEYS), row)
    write_down(connection, told)


def _revoke(connection: Connection, those: ColumnElement[bool], told: NewEntry) -> int:
    """Revoke those in force, each on record."""
    in_force = update(API_KEYS).where(those, API_KEYS.c.revoked_at.is_(None))
    revoking = in_force.values(revoked_at=told.occurred_at).returning(func.substr(API_KEYS.c.key_hash, 1, KEY_ID_CHARS))
    key_ids = connection.scalars(revoking).all()
    for key_id in key_ids:
        write_down(connection, told._replace(target=Target(TargetKind.KEY, key_id)))
    return len(key_ids)


def _stored(row: Row[Any]) -> StoredKey:
    return StoredKey(**{**row._mapping, "scopes": frozenset(row.scopes.split())})

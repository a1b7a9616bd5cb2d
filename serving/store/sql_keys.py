"""The API keys in SQL, on SQLite and PostgreSQL alike."""

from typing import Any

from sqlalchemy import ColumnElement, Row, delete, func, insert, or_, select, update

from serving.store.database import Database
from serving.store.keys import KEY_ID_CHARS, StoredKey
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
        row = {**key._asdict(), "scopes": " ".join(sorted(key.scopes))}
        await self._database.write(lambda connection: connection.execute(insert(API_KEYS), row))

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
        statement = update(API_KEYS).where(those, API_KEYS.c.revoked_at.is_(None)).values(revoked_at=at)
        return await self._database.write(lambda connection: connection.execute(statement).rowcount)


def _stored(row: Row[Any]) -> StoredKey:
    return StoredKey(**{**row._mapping, "scopes": frozenset(row.scopes.split())})

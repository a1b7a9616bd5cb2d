"""The API keys in SQL, on SQLite and PostgreSQL alike."""

from sqlalchemy import and_, delete, insert, or_, select, update

from serving.store.database import Database
from serving.store.keys import StoredKey
from serving.store.tables import API_KEYS


class SqlKeys:
    """A ``KeyStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, key_hash: str) -> StoredKey | None:
        """See ``KeyStore``."""
        statement = select(API_KEYS).where(API_KEYS.c.key_hash == key_hash)
        row = await self._database.read(lambda connection: connection.execute(statement).one_or_none(), many=False)
        return StoredKey(row.key_hash, row.label, frozenset(row.scopes.split()), *row[3:]) if row else None

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
        in_force = and_(API_KEYS.c.label == label, API_KEYS.c.revoked_at.is_(None))
        statement = update(API_KEYS).where(in_force).values(revoked_at=at)
        return await self._database.write(lambda connection: connection.execute(statement).rowcount)

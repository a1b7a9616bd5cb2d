"""A PostgreSQL database: migrated, written in group commits by one connection, read over a small pool of others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

from asyncpg import InterfaceError, PostgresError
from sqlalchemy import URL, Connection, make_url, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from serving.errors import StoreError
from serving.store.database import Job
from serving.store.group_writer import GroupWriter
from serving.store.schema import migrate

T = TypeVar("T")

_N_READERS: Final = 5
_MIGRATING: Final = 7_307_211
"""The advisory lock of whoever migrates, so that servers may start together."""
_DOWN: Final = (OSError, InterfaceError, PostgresError, TimeoutError)
"""What the driver raises while it connects."""


class PostgresDatabase:
    """A ``Database``. Several servers may share one: it orders their appends."""

    def __init__(self, writing: AsyncEngine, reading: AsyncEngine, *, timeout_s: float) -> None:
        self._writing = writing
        self._reading = reading.execution_options(isolation_level="AUTOCOMMIT")
        self._timeout_s = timeout_s
        self._writer = GroupWriter(self._transaction, timeout_s=timeout_s)

    async def write(self, job: Job[T]) -> T:
        """See ``Database``."""
        return await self._writer.write(job)

    async def _transaction(self, jobs: list[Job[Any]]) -> list[Any]:
        try:
            async with asyncio.timeout(self._timeout_s), self._writing.begin() as connection:
                return await connection.run_sync(lambda here: [job(here) for job in jobs])
        except _DOWN as error:
            raise StoreError("the database can't be reached") from error
        except DBAPIError as error:
            if error.connection_invalidated:
                raise StoreError("the database went away") from error
            raise

    async def read(self, job: Job[T], *, many: bool) -> T:
        """See ``Database``."""
        try:
            async with asyncio.timeout(self._timeout_s), self._reading.connect() as connection:
                return await connection.run_sync(job)
        except (SQLAlchemyError, *_DOWN) as error:
            raise StoreError("the database can't be read") from error

    async def scrub(self) -> None:
        """See ``Database``: PostgreSQL overwrites deleted rows when it vacuums, in its own time."""

    async def close(self) -> None:
        """Finish what is being written, then let the connections go."""
        await self._writer.close()
        for engine in (self._writing, self._reading):
            await engine.dispose()


@asynccontextmanager
async def open_postgres(url: str, *, timeout_s: float) -> AsyncIterator[PostgresDatabase]:
    """The database, migrated where needed."""
    writing, reading = (_engine(_driver_url(url), timeout_s, n_connections=n) for n in (1, _N_READERS))
    try:
        async with writing.begin() as connection:
            await connection.run_sync(_migrate)
    except (SQLAlchemyError, TypeError, *_DOWN) as error:  # TypeError: the URL sets what the driver does not know
        await writing.dispose()
        raise StoreError(f"the PostgreSQL journal can't be opened: {str(error).partition(chr(10))[0]}") from error
    database = PostgresDatabase(writing, reading, timeout_s=timeout_s)
    try:
        yield database
    finally:
        await database.close()


def _driver_url(url: str) -> URL:
    """The URL for asyncpg, which calls libpq's ``sslmode`` ``ssl``; StoreError for what is no URL."""
    try:
        made = make_url(url).set(drivername="postgresql+asyncpg")
    except (SQLAlchemyError, ValueError) as error:
        raise StoreError("the URL of the PostgreSQL journal can't be read: it names one server") from error
    return made.set(query={"ssl" if name == "sslmode" else name: value for name, value in made.query.items()})


def _engine(url: URL, timeout_s: float, *, n_connections: int) -> AsyncEngine:
    """An engine with limits at the server too: a client that fell silent must not hold the lock of the appends."""
    timeout_ms = str(round(timeout_s * 1000))
    limits = {"statement_timeout": timeout_ms, "idle_in_transaction_session_timeout": timeout_ms}
    return create_async_engine(
        url,
        connect_args={"timeout": timeout_s, "server_settings": {"application_name": "mingjian", **limits}},
        hide_parameters=True,
        pool_size=n_connections,
        max_overflow=0,
        pool_timeout=timeout_s,
    )


def _migrate(connection: Connection) -> None:
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATING})
    migrate(connection)

"""A PostgreSQL database: migrated, written in group commits by one connection, read over a small pool of others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

from asyncpg import InterfaceError, PostgresError
from sqlalchemy import URL, Connection, event, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from serving.errors import ReadOnlyStoreError, StoreError, UnfitStoreError
from serving.logs import coded
from serving.store.database import Job
from serving.store.failover import Failovers, driver_error, is_read_only
from serving.store.group_writer import GroupWriter
from serving.store.schema import migrate

T = TypeVar("T")

_N_READERS: Final = 5
_N_LONG_READERS: Final = 2
_OLDEST: Final = 120_000
"""The oldest server that serves, as ``server_version_num``."""
_SERVER: Final = "SELECT current_setting('server_version_num'), current_setting('server_encoding')"
_STATEMENT_LOST: Final = {"26000", "42P05"}
"""SQLSTATEs of a prepared statement that another session made, or that stands there already."""
_BY_TRANSACTION: Final = "a pooler in between pools by transaction: let it pool by session"
_SESSION: Final = "SELECT pg_backend_pid()"
_MIGRATING: Final = 7_307_211
"""The advisory lock of whoever migrates, so that servers may start together."""
_DOWN: Final = (OSError, InterfaceError, PostgresError, TimeoutError)
"""What the driver raises while it connects."""


class PostgresDatabase:
    """A ``Database``. Several servers may share one: it orders their appends."""

    def __init__(
        self, writing: AsyncEngine, reading: AsyncEngine, reading_long: AsyncEngine, *, timeout_s: float
    ) -> None:
        self._writing = writing
        self._reading = reading.execution_options(isolation_level="AUTOCOMMIT")
        self._reading_long = reading_long.execution_options(isolation_level="AUTOCOMMIT")
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
            if is_read_only(error):
                raise ReadOnlyStoreError("the database takes no writes") from error
            if error.connection_invalidated:
                raise StoreError("the database went away") from error
            raise

    async def read(self, job: Job[T], *, many: bool) -> T:
        """See ``Database``."""
        return await self._read(self._reading, job)

    async def read_long(self, job: Job[T]) -> T:
        """See ``Database``."""
        return await self._read(self._reading_long, job)

    async def _read(self, engine: AsyncEngine, job: Job[T]) -> T:
        try:
            async with asyncio.timeout(self._timeout_s), engine.connect() as connection:
                return await connection.run_sync(job)
        except (SQLAlchemyError, *_DOWN) as error:
            raise StoreError("the database can't be read") from error

    async def scrub(self) -> None:
        """See ``Database``: PostgreSQL overwrites deleted rows when it vacuums, in its own time."""

    async def close(self) -> None:
        """Finish what is being written, then let the connections go."""
        await self._writer.close()
        for engine in (self._writing, self._reading, self._reading_long):
            await engine.dispose()


@asynccontextmanager
async def open_postgres(url: str, *, timeout_s: float) -> AsyncIterator[PostgresDatabase]:
    """The database, migrated where needed."""
    writing = _engine(_driver_url(url), timeout_s, n_connections=1, to="read-write")
    reading = _engine(_driver_url(url), timeout_s, n_connections=_N_READERS, to="primary")
    reading_long = _engine(_driver_url(url), timeout_s, n_connections=_N_LONG_READERS, to="primary")
    failovers = Failovers()
    for engine in (writing, reading, reading_long):
        failovers.watch(engine.sync_engine)
    try:
        await _require_sessions(writing, reading)
        async with writing.begin() as connection:
            await connection.run_sync(_require_fit)
            await connection.run_sync(_migrate)
    except (SQLAlchemyError, StoreError, TypeError, *_DOWN) as error:  # TypeError: an option that the driver lacks
        for engine in (writing, reading, reading_long):
            await engine.dispose()
        raise UnfitStoreError(f"the PostgreSQL journal can't be opened: {_reason(error)}") from error
    database = PostgresDatabase(writing, reading, reading_long, timeout_s=timeout_s)
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


def _engine(url: URL, timeout_s: float, *, n_connections: int, to: str) -> AsyncEngine:
    """An engine whose connections are to a server in the role ``to`` (asyncpg's ``target_session_attrs``)."""
    engine = create_async_engine(
        url,
        connect_args={
            "timeout": timeout_s,
            "target_session_attrs": to,
            "server_settings": {"application_name": "mingjian"},
        },
        hide_parameters=True,
        pool_size=n_connections,
        max_overflow=0,
        pool_timeout=timeout_s,
    )
    event.listen(engine.sync_engine, "connect", _Limits(round(timeout_s * 1000)))
    return engine


class _Limits:
    """Sets limits at the server too: a client that fell silent must not hold the lock of the appends.

    They are set once the session stands: a pooler lets none of them through before.
    """

    def __init__(self, timeout_ms: int) -> None:
        self._timeout_ms = timeout_ms

    def __call__(self, connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        for name in ("statement_timeout", "idle_in_transaction_session_timeout"):
            cursor.execute(f"SET SESSION {name} = {self._timeout_ms}")
        cursor.close()
        connection.commit()


async def _require_sessions(writing: AsyncEngine, reading: AsyncEngine) -> None:
    """UnfitStoreError where a pooler in between moves a connection to another session after each transaction.

    Asked between transactions, while another connection is in one: a session that was let go would be that one's.
    """
    async with reading.connect() as asking:
        first = await asking.scalar(text(_SESSION))
        await asking.rollback()
        async with writing.begin() as busy:
            await busy.execute(text(_SESSION))
            if await asking.scalar(text(_SESSION)) != first:
                raise UnfitStoreError(_BY_TRANSACTION)


def _require_fit(connection: Connection) -> None:
    """UnfitStoreError unless the server is one that serves."""
    version, encoding = connection.execute(text(_SERVER)).one()
    if int(version) < _OLDEST:
        raise UnfitStoreError(f"PostgreSQL {int(version) // 10_000} is too old: {_OLDEST // 10_000} or later is needed")
    if encoding != "UTF8":
        raise UnfitStoreError(f"the database is encoded in {encoding}: UTF8 is needed")


def _migrate(connection: Connection) -> None:
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATING})
    migrate(connection)


def _reason(error: BaseException) -> str:
    """One line of what went wrong; the classes of an error of the server, and its SQLSTATE."""
    if isinstance(error, StoreError):
        return error.detail
    if is_read_only(error):
        return "it takes no writes (a standby, or default_transaction_read_only)"
    cause = driver_error(error)
    if getattr(cause, "sqlstate", None) in _STATEMENT_LOST:
        return _BY_TRANSACTION
    return f"{str(cause).partition(chr(10))[0]} ({coded(cause)})"

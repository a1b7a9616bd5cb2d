"""One SQLite file held by one server: migrated, written by one thread, read without waiting for it."""

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from serving.errors import StoreError, StoreInUseError, UnfitStoreError
from serving.store.database import Job
from serving.store.group_writer import GroupWriter
from serving.store.opened_files import OpenedFiles
from serving.store.schema import migrate

T = TypeVar("T")

_PRAGMAS: Final = ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON")
_SCRUB_WAIT_MS: Final = 100
TIMEOUT_S: Final = 5.0
"""How long a write waits, for other processes and for the disk."""


class SqliteFile:
    """A ``Database``: an open file."""

    def __init__(self, path: Path, *, timeout_s: float) -> None:
        self._engine = _engine(path, timeout_s)
        self._writing = _engine(path, timeout_s)
        event.listen(self._writing, "begin", _begin_immediate)
        try:
            with self._writing.begin() as connection:
                migrate(connection)
            self._here, self._there, self._aside = (self._engine.connect() for _ in range(3))
        except UnfitStoreError as error:
            raise UnfitStoreError(f"{path} can't be opened: {error}") from error
        except SQLAlchemyError as error:
            raise UnfitStoreError(f"{path} can't be opened: {str(error).partition(chr(10))[0]}") from error
        self._files = OpenedFiles(path)
        self._thread = ThreadPoolExecutor(1, "sqlite-writer")
        self._writer = GroupWriter(self._transaction, timeout_s=timeout_s)
        self._reader = ThreadPoolExecutor(1, "sqlite-reader")
        self._long_reader = ThreadPoolExecutor(1, "sqlite-long-reader")

    async def write(self, job: Job[T]) -> T:
        """See ``Database``."""
        return await self._writer.write(job)

    async def _transaction(self, jobs: list[Job[Any]]) -> list[Any]:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._run, jobs)

    def _run(self, jobs: list[Job[Any]]) -> list[Any]:
        with _writable():
            connection = self._writing.connect()
        with connection:
            with _writable():
                connection.begin()
            results = [job(connection) for job in jobs]
            self._files.check()
            with _writable():
                connection.commit()
        return results

    async def read(self, job: Job[T], *, many: bool) -> T:
        """See ``Database``.

        A few rows take microseconds, less than changing threads, and are read right here on the event loop; ``many``
        on a thread of their own.
        """
        with _readable():
            if many:
                return await asyncio.get_running_loop().run_in_executor(self._reader, job, self._there)
            return job(self._here)

    async def read_long(self, job: Job[T]) -> T:
        """See ``Database``."""
        with _readable():
            return await asyncio.get_running_loop().run_in_executor(self._long_reader, job, self._aside)

    async def scrub(self) -> None:
        """See ``Database``: deleted rows are overwritten with zeros; here the log of old pages is emptied too."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._empty_log)

    def _empty_log(self) -> None:
        with _writable(), self._engine.connect() as connection:
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {_SCRUB_WAIT_MS}")  # meanwhile nothing is written
            is_busy, *_ = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
        if is_busy:
            raise StoreError("someone reads what was deleted")

    async def close(self) -> None:
        """Finish what is being written and read, then let go of the file."""
        await self._writer.close()
        for thread in (self._thread, self._reader, self._long_reader):
            thread.shutdown()
        for connection in (self._here, self._there, self._aside):
            connection.close()
        for engine in (self._writing, self._engine):
            engine.dispose()


@asynccontextmanager
async def open_sqlite(path: Path, *, timeout_s: float = TIMEOUT_S) -> AsyncIterator[SqliteFile]:
    """The file, made and migrated where needed."""
    make_private(path)
    file = SqliteFile(path, timeout_s=timeout_s)
    try:
        yield file
    finally:
        await file.close()


@contextmanager
def server_lock(path: Path) -> Iterator[None]:
    """Be the one server on this file; StoreInUseError while another process is.

    The operating system lets go of the lock when the process ends, however it ends.
    """
    lock_path = path.with_name(f"{path.name}.lock")
    make_private(lock_path)
    with lock_path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise StoreInUseError(
                f"{path} is in use by another server (process {lock.read() or 'unknown'}): "
                "one SQLite file serves one process, so stop that one or choose another data folder"
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def make_private(path: Path) -> None:
    """Make a file, and its folder, where there is none; nobody but its owner may read it, nor SQLite's files beside it.

    SQLite gives the files that it makes later the mode of the database.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    for one in (path, *path.parent.glob(f"{path.name}-*")):
        if one.stat().st_mode & 0o077:  # made by a version that did not mind
            one.chmod(0o600)


def _engine(path: Path, timeout_s: float) -> Engine:
    """An engine whose connections leave transactions to us: each statement alone commits itself."""
    arguments = {"timeout": timeout_s, "isolation_level": None, "check_same_thread": False}
    engine = create_engine(URL.create("sqlite", database=str(path)), connect_args=arguments, hide_parameters=True)
    event.listen(engine, "connect", _set_pragmas)
    return engine


def _set_pragmas(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise StoreError("the database can't be read") from error


@contextmanager
def _writable() -> Iterator[None]:
    """What fails here fails for every job: another process holds the file, or the disk is full."""
    try:
        yield
    except SQLAlchemyError as error:
        raise StoreError("the database can't be written") from error


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")

"""The one writer of a SQLite file: what waits while a commit is under way shares the next one (a group commit)."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeAlias, TypeVar, cast

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from serving.errors import StoreError

T = TypeVar("T")
Job: TypeAlias = Callable[[Connection], T]

_GROUP: Final = 64
"""The most jobs in one transaction."""


class SqliteWriter:
    """Runs jobs that write, in the order they come, on a thread of its own."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._thread = ThreadPoolExecutor(1, "sqlite-writer")
        self._waiting: list[tuple[Job[Any], asyncio.Future[Any]]] = []
        self._committing: asyncio.Task[None] | None = None

    async def write(self, job: Job[T]) -> T:
        """The result of a job once all its changes are on disk; StoreError, and no change, where they can't be."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((job, future))
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit_waiting())
        try:
            return cast("T", await future)
        except SQLAlchemyError as error:
            raise StoreError("the database can't be written") from error

    async def close(self) -> None:
        """Finish what waits, then end the thread."""
        if self._committing:
            await self._committing
        self._thread.shutdown()

    async def _commit_waiting(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[:_GROUP], self._waiting[_GROUP:]
            results = await self._results([job for job, _ in group])
            for (_, future), result in zip(group, results, strict=True):
                if future.cancelled():
                    continue
                if isinstance(result, BaseException):
                    future.set_exception(result)
                else:
                    future.set_result(result)
        self._committing = None

    async def _results(self, jobs: list[Job[Any]]) -> Sequence[Any]:
        """Each job's result or exception: where the group fails, its jobs run again one by one."""
        if len(jobs) > 1:
            together = asyncio.ensure_future(self._transaction(jobs))
            await asyncio.wait([together])
            if not together.exception():
                return together.result()
        alone = await asyncio.gather(*(self._transaction([job]) for job in jobs), return_exceptions=True)
        return [one if isinstance(one, BaseException) else one[0] for one in alone]

    async def _transaction(self, jobs: list[Job[Any]]) -> list[Any]:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._run, jobs)

    def _run(self, jobs: list[Job[Any]]) -> list[Any]:
        with self._engine.begin() as connection:
            return [job(connection) for job in jobs]

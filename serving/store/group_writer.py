"""The one writer of a database: what waits while a commit is under way shares the next one (a group commit)."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar, cast

from sqlalchemy.exc import SQLAlchemyError

from serving.errors import StoreError
from serving.store.database import Job

T = TypeVar("T")

_GROUP: Final = 64
"""The most jobs in one transaction."""


class GroupWriter:
    """Runs jobs that write, in the order they come.

    ``transaction`` runs jobs in one transaction; it raises StoreError where no job can be run now.
    """

    def __init__(self, transaction: Callable[[list[Job[Any]]], Awaitable[list[Any]]], *, timeout_s: float) -> None:
        self._transaction = transaction
        self._timeout_s = timeout_s
        self._waiting: list[tuple[Job[Any], asyncio.Future[Any]]] = []
        self._committing: asyncio.Task[None] | None = None

    async def write(self, job: Job[T]) -> T:
        """The result of a job once all its changes are durable; StoreError where they can't be, or not in time."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((job, future))
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit_waiting())
        try:
            async with asyncio.timeout(self._timeout_s):
                return cast("T", await future)
        except (SQLAlchemyError, TimeoutError) as error:
            raise StoreError("the database can't be written") from error

    async def close(self) -> None:
        """Finish what waits."""
        if self._committing:
            await self._committing

    async def _commit_waiting(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[:_GROUP], self._waiting[_GROUP:]
            group = [(job, future) for job, future in group if not future.cancelled()]
            results = await self._results([job for job, _ in group]) if group else []
            for (_, future), result in zip(group, results, strict=True):
                if future.cancelled():
                    continue
                if isinstance(result, BaseException):
                    future.set_exception(result)
                else:
                    future.set_result(result)
        self._committing = None

    async def _results(self, jobs: list[Job[Any]]) -> Sequence[Any]:
        """Each job's result or exception: where one breaks the group, its jobs run again one by one."""
        together: Sequence[Any] | BaseException
        (together,) = await asyncio.gather(self._transaction(jobs), return_exceptions=True)
        if not isinstance(together, BaseException):
            return together
        if len(jobs) == 1 or isinstance(together, StoreError):
            return [together] * len(jobs)
        return [(await self._results([job]))[0] for job in jobs]

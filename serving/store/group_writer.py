"""The one writer of a database: what waits while a commit is under way shares the next one (a group commit)."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, TypeAlias, TypeVar, cast

from sqlalchemy.exc import SQLAlchemyError

from serving.errors import StoreError
from serving.store.database import Job

T = TypeVar("T")
_Write: TypeAlias = tuple[Job[Any], asyncio.Future[Any]]

_GROUP: Final = 64
"""The most jobs in one transaction."""


class GroupWriter:
    """Runs jobs that write, in the order they come.

    ``transaction`` runs jobs in one transaction; it raises StoreError where no job can be run now, and whatever a job
    raised.
    """

    def __init__(self, transaction: Callable[[list[Job[Any]]], Awaitable[list[Any]]], *, timeout_s: float) -> None:
        self._transaction = transaction
        self._timeout_s = timeout_s
        self._waiting: list[_Write] = []
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
        finally:
            if future.cancelled():  # its caller was refused or went away
                self._waiting = [one for one in self._waiting if one[1] is not future]

    async def close(self) -> None:
        """Finish what waits, for as long as a write may take."""
        if self._committing:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._timeout_s):
                    await self._committing

    async def _commit_waiting(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[:_GROUP], self._waiting[_GROUP:]
            await self._commit(group)
        self._committing = None

    async def _commit(self, group: list[_Write]) -> None:
        """Settle each job that is still wanted: where one breaks the group, its jobs run again one by one."""
        group = [(job, future) for job, future in group if not future.cancelled()]
        if not group:
            return
        together: list[Any] | BaseException
        (together,) = await asyncio.gather(self._transaction([job for job, _ in group]), return_exceptions=True)
        if not isinstance(together, BaseException):
            for (_, future), result in zip(group, together, strict=True):
                if not future.cancelled():
                    future.set_result(result)
        elif len(group) == 1 or isinstance(together, StoreError):
            for _, future in group:
                if not future.cancelled():
                    future.set_exception(together)
        else:
            for one in group:
                await self._commit([one])

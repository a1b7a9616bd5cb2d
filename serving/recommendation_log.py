"""Writes what was recommended a moment after it was answered: feeds don't wait for the log."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from sqlalchemy.exc import DataError, IntegrityError

from serving.each import raise_all
from serving.errors import StoreError
from serving.metrics import Metrics
from serving.store.recommendations import Recommendation, RecommendationLog

_log = logging.getLogger(__name__)

EVERY_S: Final = 0.3
MAX_WAITING: Final = 50_000
"""Rows that wait while the log can't be written; then the oldest are dropped, and counted."""
_AT_ONCE: Final = 2_000


class RecommendationWriter:
    """Rows go out in the order they came in, some time later."""

    def __init__(self, log: RecommendationLog, *, metrics: Metrics) -> None:
        self._log = log
        self._metrics = metrics
        self._waiting: list[Recommendation] = []

    def add(self, rows: Sequence[Recommendation]) -> None:
        """Have rows written soon."""
        self._waiting.extend(rows)
        if (n_over := len(self._waiting) - MAX_WAITING) > 0:
            del self._waiting[:n_over]
            self._metrics.recommendations_dropped.inc(n_over)

    async def flush(self) -> None:
        """Write what waits; StoreError while that can't be done, and it waits on.

        A row that the store takes from nobody is left out, counted, and keeps back no other; why is raised at the end.
        """
        refused: list[Exception] = []
        while rows := self._waiting[:_AT_ONCE]:
            del self._waiting[: len(rows)]
            try:
                await self._write(rows, refused)
            except (StoreError, asyncio.CancelledError):
                self._waiting[:0] = rows
                raise
        raise_all(refused)

    async def _write(self, rows: Sequence[Recommendation], refused: list[Exception]) -> None:
        """Write rows together; where one of them is refused, the others without it."""
        (error,) = await asyncio.gather(self._log.add(rows), return_exceptions=True)
        if not isinstance(error, Exception):
            return
        if not _is_of_a_row(error):
            raise error
        if len(rows) == 1:
            self._metrics.recommendations_dropped.inc()
            refused.append(error)
            return
        for half in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
            await self._write(half, refused)

    @asynccontextmanager
    async def flushed(self) -> AsyncIterator[None]:
        """Write at the end of the context what still waits then."""
        try:
            yield
        finally:
            try:
                await self.flush()
            except (StoreError, ExceptionGroup):
                _log.warning("recommendations are not on record", extra={"n": len(self._waiting)})


def _is_of_a_row(error: Exception) -> bool:
    """Whether a row is at fault, and not the store, which may do its work again soon."""
    return not isinstance(error, StoreError) or isinstance(error.__cause__, DataError | IntegrityError)

"""Writes what was recommended a moment after it was answered: feeds don't wait for the log."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

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
        """Write what waits; StoreError while that can't be done, and it waits on."""
        while rows := self._waiting[:_AT_ONCE]:
            del self._waiting[: len(rows)]
            try:
                await self._log.add(rows)
            except StoreError:
                self._waiting[:0] = rows
                raise

    @asynccontextmanager
    async def flushed(self) -> AsyncIterator[None]:
        """Write at the end of the context what still waits then."""
        try:
            yield
        finally:
            try:
                await self.flush()
            except StoreError:
                _log.warning("recommendations are not on record", extra={"n": len(self._waiting)})

"""What orchestrators and Prometheus ask for: is the server ready, and how is it doing.

Anyone may ask, as often as they like: however many do, what costs something is done once in ``max_age_s``, and what
takes milliseconds is done on a thread.
"""

import asyncio
import gzip
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.errors import BundleError
from serving.churn import CHURN
from serving.errors import ReadOnlyStoreError, StoreError
from serving.logs import failure
from serving.metrics import Metrics
from serving.quality import QUALITY
from serving.single_flight import SingleFlight
from serving.slots import Slots, Task
from serving.store.journal import Journal
from serving.store.state import StateStore

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MetricsPage:
    """Prometheus' text format, as it is and compressed."""

    text: bytes
    gzipped: bytes


class Health:
    """The checks of ``/readyz`` and the page of ``/metrics``."""

    def __init__(
        self,
        journal: Journal,
        states: StateStore,
        slots: Slots,
        *,
        required_models: frozenset[str],
        metrics: Metrics,
        max_age_s: float,
    ) -> None:
        self._journal = journal
        self._states = states
        self._slots = slots
        self._required_models = required_models
        self._metrics = metrics
        self._checks = SingleFlight(self._check, max_age_s=max_age_s)
        self._page = SingleFlight(self._render, max_age_s=max_age_s)

    async def checks(self) -> Mapping[str, str]:
        """What scoring needs, each ``ok`` or what is wrong; a model that may be absent is named once it is live."""
        return await self._checks.get()

    async def page(self) -> MetricsPage:
        """The page of metrics."""
        return await self._page.get()

    async def _check(self) -> Mapping[str, str]:
        checks = {"stores": await self._look_at_stores()}
        for task in (CHURN, QUALITY):
            state = await self._try_champion(task)
            if state != "no_model" or task.model in self._required_models:
                checks[task.model] = state
        return checks

    async def _look_at_stores(self) -> str:
        """Whether the stores can be read and written; also measures how far the states lag."""
        try:
            folded = await self._states.watermark()  # first: it may not be ahead of the end that is read after it
            unfolded = await self._journal.last_seq() - folded
            await self._journal.check()
            await self._states.check()
        except StoreError as error:
            _log.warning("the stores are not ready", extra=failure(error))
            return "read_only" if isinstance(error, ReadOnlyStoreError) else "unreachable"
        self._metrics.unfolded.set(unfolded)
        return "ok"

    async def _try_champion(self, task: Task[Any]) -> str:
        live = self._slots.champion(task)
        if live is None:
            return "no_model"
        try:
            await asyncio.to_thread(task.canary, live.scorer, 1)
        except BundleError:
            return "failed"
        return "ok"

    async def _render(self) -> MetricsPage:
        await self._checks.get()  # for the lag of the states
        return await asyncio.to_thread(_page_of, self._metrics)


def _page_of(metrics: Metrics) -> MetricsPage:
    text = metrics.page()
    return MetricsPage(text, gzip.compress(text, compresslevel=5))

"""Work that repeats for as long as the app runs. Each job has a time-out and is watched: one that is ill is seen."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from enum import StrEnum
from time import monotonic
from typing import Final

from serving.logs import failure
from serving.metrics import Metrics

_log = logging.getLogger(__name__)

Step = Callable[[], Awaitable[None]]

_CANCEL_AGAIN_S: Final = 0.5
_TIMEOUT_S: Final = 120.0
_LONGEST_WAIT_S: Final = 5.0
"""What waits between rounds grow to while a job fails; one that comes more seldom anyway keeps its pace."""
_N_LOGGED: Final = 5


class Illness(StrEnum):
    """What is wrong with a job: its last round failed, or took too long, or left out items that failed; or none has
    ended well for longer than two may take.
    """

    FAILING = "failing"
    TIMED_OUT = "timed_out"
    ITEMS_FAILING = "items_failing"
    STALLED = "stalled"


class Job:
    """A step that repeats; a call is a round, which raises what the step raised, or TimeoutError after ``timeout_s``.

    A step that does many things raises what failed at its end, as an ExceptionGroup: then the round is complete.
    """

    def __init__(self, name: str, step: Step, *, every_s: float, timeout_s: float, metrics: Metrics) -> None:
        self.name = name
        self._step = step
        self._timeout_s = timeout_s
        self._stalls_after_s = every_s + 2 * timeout_s
        self._illness: Illness | None = None
        self._completed_at = monotonic()
        self._failures = metrics.background_failures.labels(name)
        self._last_success = metrics.background_last_success.labels(name)
        metrics.background_stalled.labels(name).set_function(lambda: self.illness is Illness.STALLED)

    @property
    def illness(self) -> Illness | None:
        """What is wrong with the job; None where nothing is."""
        is_stalled = monotonic() - self._completed_at > self._stalls_after_s
        return Illness.STALLED if is_stalled else self._illness

    async def __call__(self) -> None:
        """Go one round."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._step()
        except Exception as error:  # counted, and handed on to the outermost handler
            self._fail(error)
            raise
        self._illness = None
        self._complete()

    def _fail(self, error: Exception) -> None:
        self._failures.inc(len(error.exceptions) if isinstance(error, ExceptionGroup) else 1)
        match error:
            case ExceptionGroup():
                self._illness = Illness.ITEMS_FAILING
                self._complete()
            case TimeoutError():
                self._illness = Illness.TIMED_OUT
            case _:
                self._illness = Illness.FAILING

    def _complete(self) -> None:
        self._completed_at = monotonic()
        self._last_success.set_to_current_time()


class Jobs:
    """The background jobs of one app."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._jobs: list[Job] = []

    def repeated(
        self, name: str, step: Step, *, every_s: float, timeout_s: float = _TIMEOUT_S
    ) -> AbstractAsyncContextManager[None]:
        """Go round after round while the context lasts."""
        self._jobs.append(job := Job(name, step, every_s=every_s, timeout_s=timeout_s, metrics=self._metrics))
        return repeated(job, every_s=every_s)

    def ill(self) -> dict[str, Illness]:
        """What is wrong, by job; the healthy are left out."""
        return {job.name: illness for job in self._jobs if (illness := job.illness)}


@asynccontextmanager
async def repeated(step: Step, *, every_s: float) -> AsyncIterator[None]:
    """Await ``step`` again and again while the context lasts; a step that fails is logged and tried again."""
    task = asyncio.create_task(_repeat(step, every_s))
    try:
        yield
    finally:
        while not task.done():  # a step may swallow a cancellation and go on: then it comes again
            task.cancel()
            await asyncio.wait([task], timeout=_CANCEL_AGAIN_S)


async def _repeat(step: Step, every_s: float) -> None:
    task, wait_s = asyncio.current_task(), every_s
    while not (task and task.cancelling()):  # a step may turn its cancellation into a failure, as of a driver's timeout
        await asyncio.sleep(wait_s)
        try:
            await step()
            wait_s = every_s
        except ExceptionGroup as failures:  # the round is complete, and what failed in it has a pace of its own
            wait_s = every_s
            for error in failures.exceptions[:_N_LOGGED]:
                _log.error("background work failed", extra=failure(error))
        except Exception as error:  # the outermost handler: no caller waits for this, and the next round must come
            _log.error("background work failed", extra=failure(error))
            wait_s = max(every_s, min(2 * wait_s, _LONGEST_WAIT_S))

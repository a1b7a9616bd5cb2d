"""How long the first item of each queue waits, for metrics and ``/readyz``: a job may go round and get nowhere."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

from serving.each import do_each
from serving.instants import SECOND_US, Clock
from serving.metrics import Metrics
from serving.quality import QUALITY
from serving.recommender import RECOMMEND
from serving.slots import Slots
from serving.store.stores import Stores

_LATE_S: Final = 300


class Queue(NamedTuple):
    """A queue, by the name of the job that serves it: since when its first item waits (None where none does), and for
    how long one may.
    """

    job: str
    oldest: Callable[[], Awaitable[int | None]]
    patience_s: float = _LATE_S


class Queues:
    """Watches queues; ``look`` finds the first item of each."""

    def __init__(self, queues: Sequence[Queue], *, metrics: Metrics, clock: Clock) -> None:
        self._queues = queues
        self._clock = clock
        self._oldest: dict[str, int | None] = dict.fromkeys((one.job for one in queues), None)
        for queue in queues:
            metrics.oldest_waiting.labels(queue.job).set_function(partial(self._age_s, queue.job))

    async def look(self) -> None:
        """Find out since when the first item of each queue waits."""
        await do_each(self._look, self._queues)

    def late(self) -> Mapping[str, str]:
        """The queues whose first item waits for too long, by job."""
        waiting = [one for one in self._queues if self._oldest[one.job] is not None]
        return {one.job: "waiting" for one in waiting if self._age_s(one.job) >= one.patience_s}

    async def _look(self, queue: Queue) -> None:
        self._oldest[queue.job] = await queue.oldest()

    def _age_s(self, job: str) -> float:
        oldest = self._oldest[job]
        return 0.0 if oldest is None else max(0.0, (self._clock() - oldest) / SECOND_US)


def queues_of(stores: Stores, slots: Slots, *, clock: Clock) -> list[Queue]:
    """Every queue that background jobs serve. What waits for a model to be released is not late."""

    async def oldest_unread() -> int | None:
        can_read = slots.champion(QUALITY) is not None or slots.champion(RECOMMEND) is not None
        return await stores.catalogue.oldest_unread() if can_read else None

    async def oldest_report() -> int | None:
        return await stores.reviews.oldest_report() if slots.champion(QUALITY) else None

    async def oldest_unfolded() -> int | None:
        return await stores.journal.received_after(await stores.states.watermark())

    async def oldest_erasure() -> int | None:
        return (await stores.erasures.backlog()).oldest_at

    return [
        Queue("note_reading", oldest_unread),
        Queue("reports", oldest_report),
        Queue("callbacks", lambda: stores.reviews.oldest_untold(at=clock())),
        Queue("folding", oldest_unfolded),
        Queue("erasures", oldest_erasure, patience_s=0),
    ]

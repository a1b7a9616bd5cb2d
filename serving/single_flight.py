"""Work that many ask for at once, done once."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """What a call brings, shared by all who ask while it is under way and for ``max_age_s`` from its start."""

    def __init__(
        self, call: Callable[[], Awaitable[T]], *, max_age_s: float, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._call = call
        self._max_age_s = max_age_s
        self._clock_s = clock_s
        self._flight: asyncio.Future[T] | None = None
        self._started_s = 0.0

    async def get(self) -> T:
        """The result; who stops waiting for it stops nobody else."""
        flight = self._flight
        if flight is None or (flight.done() and self._clock_s() - self._started_s >= self._max_age_s):
            self._started_s = self._clock_s()
            self._flight = flight = asyncio.ensure_future(self._call())
        return await asyncio.shield(flight)

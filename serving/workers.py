"""A small thread pool for work that would hold the event loop for milliseconds."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

from serving.each import attempt
from serving.errors import BusyError

P = ParamSpec("P")
Q = TypeVar("Q")
T = TypeVar("T")

N_THREADS: Final = 2
MANY_USERS: Final = 50
"""Work on fewer users takes less than a change of threads costs the tail of the latencies."""

MAX_PIECES: Final = 1_000
"""How many pieces of work may wait or be under way, of all requests."""

MAX_SLOW: Final = 16
"""How many pieces of slow work may run or wait."""


class NotReachedError(Exception):
    """No thread was free for the piece in time: ask again, it may be as good as any."""


class TooSlowError(Exception):
    """The piece was begun and did not end in time."""


class Workers:
    """Runs functions for a number of users: few right here on the event loop, many on a thread."""

    def __init__(self, *, n_threads: int = N_THREADS, max_pieces: int = MAX_PIECES) -> None:
        self._threads = ThreadPoolExecutor(N_THREADS, "worker")
        self._piece_threads = ThreadPoolExecutor(n_threads, "piece-worker")
        self._n_lanes = n_threads
        self._max_pieces = max_pieces
        self.n_pieces = 0
        """How many pieces of work are waiting or under way."""
        self._slow_thread = ThreadPoolExecutor(1, "slow-worker")
        self._n_slow = 0

    async def run(self, n_users: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's result; ``n_users`` may count anything that takes as long as a user."""
        if n_users < MANY_USERS:
            return function(*args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: function(*args, **kwargs))

    async def run_slow(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's result, from one thread that does slow work in turn and holds up nothing else.

        BusyError, at once, while ``MAX_SLOW`` others run or wait.
        """
        if self._n_slow >= MAX_SLOW:
            raise BusyError
        self._n_slow += 1
        work = self._slow_thread.submit(lambda: function(*args, **kwargs))
        try:
            return await asyncio.wrap_future(work)
        finally:
            self._n_slow -= 1

    async def run_each(
        self, function: Callable[[Q], T], pieces: Sequence[Q], *, timeout_s: float
    ) -> list[T | Exception]:
        """The function of each piece, in order, or what it raised: NotReachedError or TooSlowError for one that was not
        done in time.

        Threads of their own take the pieces of all callers in turn, so that one with many does not hold up one with
        few. BusyError, at once, where there would be more than ``max_pieces``.
        """
        if self.n_pieces + len(pieces) > self._max_pieces:
            raise BusyError
        self.n_pieces += len(pieces)
        results: list[T | Exception] = [NotReachedError()] * len(pieces)
        places = iter(range(len(pieces)))
        lanes = (self._run_lane(function, pieces, places, results) for _ in range(self._n_lanes))
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.gather(*lanes)
        except TimeoutError:
            pass
        finally:
            self.n_pieces -= len(pieces)
        return results

    async def _run_lane(
        self, function: Callable[[Q], T], pieces: Sequence[Q], places: Iterable[int], results: list[T | Exception]
    ) -> None:
        """Hand over one piece after another; ``places`` are shared with the caller's other lanes."""

        def run(place: int) -> T | Exception:
            results[place] = TooSlowError()  # as long as it takes
            return attempt(function, pieces[place])

        loop = asyncio.get_running_loop()
        for place in places:
            results[place] = await loop.run_in_executor(self._piece_threads, run, place)

    def close(self) -> None:
        """Finish what runs, then end the threads."""
        self._threads.shutdown()
        self._piece_threads.shutdown()
        self._slow_thread.shutdown()

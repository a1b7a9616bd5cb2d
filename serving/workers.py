"""A small thread pool for work that would hold the event loop for milliseconds."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

from serving.errors import BusyError

P = ParamSpec("P")
T = TypeVar("T")

N_THREADS: Final = 2
MANY_USERS: Final = 50
"""Work on fewer users takes less than a change of threads costs the tail of the latencies."""

MAX_SLOW: Final = 16
"""How many pieces of slow work may run or wait."""


class Workers:
    """Runs functions for a number of users: few right here on the event loop, many on a thread."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(N_THREADS, "worker")
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

    def close(self) -> None:
        """Finish what runs, then end the threads."""
        self._threads.shutdown()
        self._slow_thread.shutdown()

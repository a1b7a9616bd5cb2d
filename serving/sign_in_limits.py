"""How often a password may be tried: by browser, by address and name, by name; and how many are tried at once.

A try is counted before its password is looked at, so tries at once can't pass the limit together. Whoever has signed in
from a browser before is counted apart there: guesses of others from elsewhere do not keep them out.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, NamedTuple, TypeVar

from serving.errors import TooManySignInsError
from serving.instants import SECOND_US

T = TypeVar("T")

WINDOW_S: Final = 15 * 60
MAX_TRIES: Final = 5
"""Of a name from one address, or from one known browser."""
MAX_TRIES_OF_ADDRESS: Final = 50
MAX_TRIES_OF_NAME: Final = 100
"""From browsers that are not known, wherever they are."""
_MAX_KEYS: Final = 20_000
_MAX_PLACES: Final = 4


class Limit(NamedTuple):
    """What is counted, and how much of it may be in a window."""

    key: tuple[str, ...]
    most: int


def limits_of(name: str, address: str, *, device: str | None) -> Sequence[Limit]:
    """The limits of a try."""
    if device:
        return [Limit(("device", device), MAX_TRIES)]
    return [
        Limit(("address and name", address, name), MAX_TRIES),
        Limit(("address", address), MAX_TRIES_OF_ADDRESS),
        Limit(("name", name), MAX_TRIES_OF_NAME),
    ]


class Tries:
    """Counts tries in windows that begin with the first; what was counted longest ago is forgotten before too much is
    remembered.
    """

    def __init__(self) -> None:
        self._counts: dict[tuple[str, ...], tuple[int, int]] = {}

    def take(self, limits: Sequence[Limit], *, at: int) -> bool:
        """Count a try; whether it is within all its limits. One that is not counts for nothing."""
        counts = {one: self._count(one.key, at) for one in limits}
        if any(n >= limit.most for limit, (n, _) in counts.items()):
            return False
        for limit, (n, until) in counts.items():
            self._counts.pop(limit.key, None)
            self._counts[limit.key] = n + 1, until
        while len(self._counts) > _MAX_KEYS:
            del self._counts[next(iter(self._counts))]
        return True

    def forgive(self, limits: Sequence[Limit]) -> None:
        """A try was right: where its name was counted the count begins anew, and an address is forgiven this one."""
        for one in limits:
            n, until = self._counts.pop(one.key, (0, 0))
            if one.key[0] == "address" and n > 1:
                self._counts[one.key] = n - 1, until

    def _count(self, key: tuple[str, ...], at: int) -> tuple[int, int]:
        n, until = self._counts.get(key, (0, 0))
        return (n, until) if until > at else (0, at + WINDOW_S * SECOND_US)


class HashingGate:
    """Hashes one password at a time: each takes 64 MiB and tens of milliseconds of every core."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="passwords")
        self._n_places = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place among those that wait; TooManySignInsError where there is none."""
        if self._n_places >= _MAX_PLACES:
            raise TooManySignInsError("too many sign in at once")
        self._n_places += 1
        try:
            yield
        finally:
            self._n_places -= 1

    async def run(self, work: Callable[[], T]) -> T:
        """The result of some work."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

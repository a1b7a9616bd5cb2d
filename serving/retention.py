"""How long things are kept: sweeps that take out what is old, a little at a time, beside all other work."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, NamedTuple, Protocol

from features.state import DAY_US, RETAINED_DAYS
from serving.each import do_each
from serving.instants import Clock
from serving.store.journal import Journal
from serving.store.keys import KeyStore

_PAGE: Final = 500
_PAUSE_S: Final = 0.02
"""Between pages: appends come first."""


class Kept(NamedTuple):
    """Rows that are deleted when they are ``days`` old; ``retire`` deletes up to ``limit`` of before an instant."""

    retire: "Retire"
    days: int


class Retire(Protocol):
    """Deletes up to ``limit`` rows of before an instant; how many."""

    def __call__(self, before: int, *, limit: int) -> Awaitable[int]:
        """Delete."""
        ...


class Retention:
    """Takes out of the journal what is older than ``events_days``, of the keys those that ended ``keys_days`` ago, and
    of other records those that are as old as they may become.
    """

    def __init__(
        self,
        journal: Journal,
        keys: KeyStore,
        others: Sequence[Kept],
        *,
        events_days: int,
        keys_days: int,
        clock: Clock,
    ) -> None:
        self._journal = journal
        self._keys = keys
        self._others = others
        self._events_days = events_days
        self._keys_days = keys_days
        self._clock = clock
        self._retired_before = 0

    async def sweep(self) -> None:
        """One pass over all that is old enough, and a look at what went at all, by other servers too.

        What fails keeps nothing else from going; it is raised at the end.
        """
        now = self._clock()
        others = (partial(self._retire_others, one, now) for one in self._others)
        purging = partial(self._keys.purge, now - self._keys_days * DAY_US)
        sweeps: list[Callable[[], Awaitable[object]]] = [
            purging,
            *others,
            partial(self._retire_facts, now),
            self.look,
        ]
        await do_each(lambda sweep: sweep(), sweeps)

    async def _retire_others(self, kept: Kept, now: int) -> None:
        while await kept.retire(now - kept.days * DAY_US, limit=_PAGE):
            await asyncio.sleep(_PAUSE_S)

    async def _retire_facts(self, now: int) -> None:
        before, reached = now - self._events_days * DAY_US, 0
        while (page := await self._journal.retire(reached, before=before, at=now, limit=_PAGE)) is not None:
            reached = page
            await asyncio.sleep(_PAUSE_S)

    async def look(self) -> None:
        """Learn what went."""
        self._retired_before = await self._journal.retired_before()

    def holds_all_for(self, as_of: int) -> bool:
        """Whether the journal still holds all that a feature reads at this instant."""
        return not self._retired_before or as_of >= self._retired_before + (RETAINED_DAYS + 1) * DAY_US

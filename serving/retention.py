"""How long things are kept: sweeps that take out what is old, a little at a time, beside all other work."""

import asyncio
from typing import Final

from features.state import DAY_US, RETAINED_DAYS
from serving.instants import Clock
from serving.store.journal import Journal
from serving.store.keys import KeyStore

_PAGE: Final = 500
_PAUSE_S: Final = 0.02
"""Between pages: appends come first."""


class Retention:
    """Takes out of the journal what is older than ``events_days``, and of the keys those that ended so long ago."""

    def __init__(self, journal: Journal, keys: KeyStore, *, events_days: int, keys_days: int, clock: Clock) -> None:
        self._journal = journal
        self._keys = keys
        self._events_days = events_days
        self._keys_days = keys_days
        self._clock = clock
        self._retired_before = 0

    async def sweep(self) -> None:
        """One pass over all that is old enough, and a look at what went at all, by other servers too."""
        now, reached = self._clock(), 0
        await self._keys.purge(now - self._keys_days * DAY_US)
        before = now - self._events_days * DAY_US
        while (page := await self._journal.retire(reached, before=before, at=now, limit=_PAGE)) is not None:
            reached = page
            await asyncio.sleep(_PAUSE_S)
        await self.look()

    async def look(self) -> None:
        """Learn what went."""
        self._retired_before = await self._journal.retired_before()

    def holds_all_for(self, as_of: int) -> bool:
        """Whether the journal still holds all that a feature reads at this instant."""
        return not self._retired_before or as_of >= self._retired_before + (RETAINED_DAYS + 1) * DAY_US

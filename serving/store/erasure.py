"""Erasing a user: what every store that holds users can do, and the list that brings an erasure to its end.

Each store beside this one has two methods more: ``held(user_id)`` gives all that it holds of a user, None where that is
nothing, and ``erase(user_id)`` leaves nothing of them. Erasing again changes nothing.
"""

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple, Protocol


class Erasable(Protocol):
    """A store that holds users."""

    async def erase(self, user_id: str) -> None:
        """Leave nothing of a user, in bounded steps; StoreError when the store can't do it now."""
        ...


class Tombstone(NamedTuple):
    """An erased user as a salted hash, and since when they are."""

    user_hash: str
    erased_at: int


class PendingErasure(NamedTuple):
    """A user whose erasure was begun, and how often that was tried in vain."""

    user_id: str
    n_attempts: int


class ErasureBacklog(NamedTuple):
    """How many erasures wait, and since when the oldest does; None where none waits."""

    n: int
    oldest_at: int | None


class ErasureLog(Protocol):
    """Who is erased, for ever, by a salted hash; and by id only who is being erased, until every store has done it.

    Every method raises StoreError when the store can't do it now.
    """

    async def begin(self, user_id: str, at: int) -> int:
        """Set the tombstone: from here on the journal takes nothing of this user; the instant it was first set."""
        ...

    async def tombstones(self) -> list[Tombstone]:
        """Every one."""
        ...

    async def set_tombstones(self, tombstones: Sequence[Tombstone]) -> None:
        """Set those that are not there yet."""
        ...

    async def deployment(self) -> str:
        """What is the same in every copy of this journal and in no other: tombstones mean something there alone."""
        ...

    def held_though_erased(self) -> AsyncIterator[str]:
        """Users with a tombstone of whom something is held, some more than once."""
        ...

    async def pending(self, *, at: int, limit: int) -> list["PendingErasure"]:
        """Users whose erasure was begun, is not finished and is to be tried by now, who was to be first comes first."""
        ...

    async def backlog(self) -> "ErasureBacklog":
        """How many erasures are not finished, and since when the first of them waits."""
        ...

    async def postpone(self, user_id: str, *, try_at: int) -> None:
        """Keep that an erasure was tried once more in vain: others come first until then."""
        ...

    async def finish(self, user_id: str) -> None:
        """Forget the id: every store has erased the user. What is deleted is then gone from the files too."""
        ...

"""The state store: each user's folded state and how far into the journal it goes."""

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol


class StoredState(NamedTuple):
    """A user's state (``UserState.encode``) with every fact of theirs up to ``applied_seq`` in it."""

    encoded: bytes
    applied_seq: int


class StateUpdate(NamedTuple):
    """A new state for a user whose stored one stood at ``expected_seq``; 0 where there was none.

    Where there was none, ``generation`` is the store's from before the user's facts were read: they may have been
    erased since.
    """

    user_id: str
    encoded: bytes
    applied_seq: int
    expected_seq: int
    generation: int = 0


class StateStore(Protocol):
    """States by user. Every method raises StoreError when the store can't do it now.

    A store may lose states, all or some (they expire, a cache is flushed): a user without one is folded anew from the
    journal. What it may not do is bring an older state back while the watermark stays.
    """

    async def get_many(self, user_ids: Collection[str]) -> dict[str, StoredState]:
        """The states of those users who have one."""
        ...

    async def put_many(self, updates: Sequence[StateUpdate]) -> set[str]:
        """Store each state whose user's still stands at ``expected_seq``; the users whose state had moved on.

        A first state is not stored either once the ``generation`` has changed.
        """
        ...

    async def check(self) -> None:
        """Nothing, while states can be put; ReadOnlyStoreError where another server may put them."""
        ...

    async def generation(self) -> int:
        """A number that changes whenever a user is erased."""
        ...

    async def held(self, user_id: str) -> StoredState | None:
        """All that is held of a user."""
        ...

    async def erase(self, user_id: str) -> None:
        """Forget a user's state; one folded from facts that were read before can't be put any more."""
        ...

    async def watermark(self) -> int:
        """The ``seq`` up to which every fact is in its user's state, where the user has one; 0 if that is unknown."""
        ...

    async def highest_seq(self) -> int:
        """A ``seq`` that no state is above; the state that stood there may be gone. 0 if that is unknown."""
        ...

    async def advance_watermark(self, seq: int) -> None:
        """Move the watermark up to ``seq``, never down."""
        ...

    async def reset(self, watermark: int) -> None:
        """Forget every state, and let the watermark stand here."""
        ...

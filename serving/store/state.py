"""The state store: each user's folded state and how far into the journal it goes."""

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol


class StoredState(NamedTuple):
    """A user's state (``UserState.encode``) with every fact of theirs up to ``applied_seq`` in it."""

    encoded: bytes
    applied_seq: int


class StateUpdate(NamedTuple):
    """A new state for a user whose stored one stood at ``expected_seq``; 0 where there was none."""

    user_id: str
    encoded: bytes
    applied_seq: int
    expected_seq: int


class StateStore(Protocol):
    """States by user. Every method raises StoreError when the store can't do it now."""

    async def get_many(self, user_ids: Collection[str]) -> dict[str, StoredState]:
        """The states of those users who have one."""
        ...

    async def put_many(self, updates: Sequence[StateUpdate]) -> set[str]:
        """Store each state whose user's still stands at ``expected_seq``; the users whose state had moved on."""
        ...

    async def watermark(self) -> int:
        """The ``seq`` up to which every fact in the journal is known to be in its user's state."""
        ...

    async def advance_watermark(self, seq: int) -> None:
        """Move the watermark up to ``seq``, never down."""
        ...

"""The API keys: only their SHA-256 is kept."""

from typing import NamedTuple, Protocol


class StoredKey(NamedTuple):
    """A key as kept; a revoked one has ``revoked_at``, one with an end ``expires_at``.

    ``rate_limit_per_s`` is its own limit, 0 for none; without it the server's holds.
    """

    key_hash: str
    label: str
    scopes: frozenset[str]
    created_at: int
    revoked_at: int | None = None
    expires_at: int | None = None
    rate_limit_per_s: int | None = None


class KeyStore(Protocol):
    """Keys by hash. Every method raises StoreError when the store can't do it now."""

    async def find(self, key_hash: str) -> StoredKey | None:
        """The key with this SHA-256 (hex), revoked or not."""
        ...

    async def add(self, key: StoredKey) -> None:
        """Keep a new key."""
        ...

    async def purge(self, before: int) -> None:
        """Delete the keys that were revoked, or expired, before an instant."""
        ...

    async def revoke(self, label: str, at: int) -> int:
        """Revoke every key in force with this label; how many there were."""
        ...

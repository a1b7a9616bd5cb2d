"""The API keys: only their SHA-256 is kept."""

from typing import Final, NamedTuple, Protocol

KEY_ID_CHARS: Final = 12


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

    @property
    def key_id(self) -> str:
        """What names the key to people: it tells nothing about the key itself."""
        return self.key_hash[:KEY_ID_CHARS]

    def is_in_force(self, at: int) -> bool:
        """Whether the key opens anything at an instant."""
        return self.revoked_at is None and (self.expires_at is None or at < self.expires_at)


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

    async def all(self) -> list[StoredKey]:
        """Every key that is kept, oldest first."""
        ...

    async def revoke(self, label: str, at: int) -> int:
        """Revoke every key in force with this label; how many there were."""
        ...

    async def revoke_one(self, key_id: str, at: int) -> int:
        """Revoke the key in force with this id; how many there were."""
        ...

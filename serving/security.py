"""API keys: random, scoped, kept only as SHA-256.

A key is found by its hash, so no comparison's duration tells anything about a key.
"""

import hashlib
import secrets
import time
from collections.abc import Collection
from enum import StrEnum
from typing import Final

from serving.errors import ForbiddenError, UnauthenticatedError
from serving.instants import Clock
from serving.rate_limits import RateLimits
from serving.store.keys import KeyStore, StoredKey

_CACHED_S: Final = 1.0
"""How long a key found in force is not looked up again; a revoked one stops working within it."""


OPEN_ACCESS: Final = "open access"
"""Who asks where no key is needed."""


class Scope(StrEnum):
    """What a key may do."""

    SCORE = "score"
    INGEST = "ingest"
    REVIEW = "review"
    PRIVACY = "privacy"
    ADMIN = "admin"


def new_key() -> str:
    """A fresh key: 256 random bits."""
    return f"mj_{secrets.token_urlsafe(32)}"


def hash_secret(secret: str) -> str:
    """What is kept of a key, or of a session's token: it has 256 random bits, so a plain hash can't be searched for."""
    return hashlib.sha256(secret.encode()).hexdigest()


class KeyRing:
    """Says whether a key opens a door; with ``open_access`` every door is open."""

    def __init__(self, keys: KeyStore, limits: RateLimits, *, open_access: bool, clock: Clock) -> None:
        self._keys = keys
        self._limits = limits
        self._open_access = open_access
        self._clock = clock
        self._found: dict[str, tuple[float, StoredKey]] = {}

    async def require(self, key: str | None, scopes: Collection[Scope]) -> str:
        """The key's label; UnauthenticatedError without a key in force, ForbiddenError for one with none of the scopes.

        RateLimitedError for one that asks faster than it may.
        """
        if self._open_access:
            return OPEN_ACCESS
        if not key:
            raise UnauthenticatedError("send an API key in the header X-API-Key")
        stored = await self._find(hash_secret(key))
        if stored is None or not stored.is_in_force(self._clock()):
            raise UnauthenticatedError("this API key is unknown, revoked or expired")
        self._limits.take(stored)
        if stored.scopes.isdisjoint(scopes):
            raise ForbiddenError(f"this needs a key with the scope {' or '.join(scopes)}")
        return stored.label

    async def _find(self, key_hash: str) -> StoredKey | None:
        now = time.monotonic()
        found_at, stored = self._found.get(key_hash, (-_CACHED_S, None))
        if stored and now - found_at < _CACHED_S:
            return stored
        fresh = await self._keys.find(key_hash)
        if fresh:
            self._found[key_hash] = now, fresh
        return fresh

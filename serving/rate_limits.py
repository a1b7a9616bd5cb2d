"""How fast each API key may ask: a bucket of tokens a key, in this process."""

import time
from collections.abc import Callable

from serving.errors import RateLimitedError
from serving.metrics import Metrics
from serving.store.keys import StoredKey


class RateLimits:
    """Lets a key ask so many times a second, and as many at once after a quiet second; 0 is no limit."""

    def __init__(self, per_s: int, *, metrics: Metrics, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_s
        self._metrics = metrics
        self._clock_s = clock_s
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, key: StoredKey) -> None:
        """Count a request; RateLimitedError when the key has used up what it may."""
        per_s = self._per_s if key.rate_limit_per_s is None else key.rate_limit_per_s
        if not per_s:
            return
        now_s = self._clock_s()
        n_left, at_s = self._buckets.get(key.key_hash, (per_s, now_s))
        n_left = min(per_s, n_left + (now_s - at_s) * per_s)
        if n_left < 1:
            self._metrics.rate_limited.inc()
            raise RateLimitedError(f"this key may ask {per_s} times a second")
        self._buckets[key.key_hash] = n_left - 1, now_s

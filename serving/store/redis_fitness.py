"""Whether a Redis can hold the states, by what it says of itself."""

from collections.abc import Mapping
from typing import Any, Final

from serving.errors import ReadOnlyStoreError, UnfitStoreError

_OLDEST: Final = 6


def require_fit(info: Mapping[str, Any]) -> None:
    """UnfitStoreError for a Redis that can never do, by ``INFO``; ReadOnlyStoreError for a replica."""
    mode, policy = info.get("redis_mode", "standalone"), str(info.get("maxmemory_policy", "noeviction"))
    version = str(info.get("redis_version", _OLDEST))
    if mode == "cluster":
        raise UnfitStoreError("it is a node of a Redis Cluster: name a single server")
    if mode == "sentinel":
        raise UnfitStoreError("it is a Redis Sentinel: name the primary that it watches")
    if int(version.partition(".")[0]) < _OLDEST:
        raise UnfitStoreError(f"Redis {version} is too old: {_OLDEST} or later is needed")
    if policy.startswith("allkeys"):
        raise UnfitStoreError(f"its maxmemory-policy {policy} evicts what must stay: noeviction is needed")
    if info.get("role") == "slave":
        raise ReadOnlyStoreError("Redis is a replica")

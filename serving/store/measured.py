"""Stores that are measured, whichever they are."""

import inspect
from collections.abc import Awaitable, Callable
from functools import wraps
from time import perf_counter
from typing import ParamSpec, TypeVar

from prometheus_client import Histogram

P = ParamSpec("P")
T = TypeVar("T")
Store = TypeVar("Store")


def measured(store: Store, name: str, seconds: Histogram) -> Store:
    """The store, with every operation timed under (name, operation, outcome)."""
    for operation, method in inspect.getmembers(store, inspect.iscoroutinefunction):
        if not operation.startswith("_"):
            setattr(store, operation, _timed(method, seconds, name, operation))
    return store


def _timed(
    method: Callable[P, Awaitable[T]], seconds: Histogram, name: str, operation: str
) -> Callable[P, Awaitable[T]]:
    ok, failed = (seconds.labels(name, operation, outcome) for outcome in ("ok", "failed"))

    @wraps(method)
    async def timed(*args: P.args, **kwargs: P.kwargs) -> T:
        started, ended = perf_counter(), failed
        try:
            result = await method(*args, **kwargs)
            ended = ok
            return result
        finally:
            ended.observe(perf_counter() - started)

    return timed

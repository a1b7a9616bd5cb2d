"""Stores that are measured, whichever they are."""

import inspect
from collections.abc import Awaitable, Callable
from functools import wraps
from time import perf_counter
from typing import ParamSpec, TypeVar

from serving.metrics import Metrics

P = ParamSpec("P")
T = TypeVar("T")
Store = TypeVar("Store")


def measured(store: Store, name: str, metrics: Metrics) -> Store:
    """The store, with every operation timed under its name, and failures counted by operation."""
    for operation, method in inspect.getmembers(store, inspect.iscoroutinefunction):
        if not operation.startswith("_"):
            setattr(store, operation, _timed(method, metrics, name, operation))
    return store


def _timed(method: Callable[P, Awaitable[T]], metrics: Metrics, name: str, operation: str) -> Callable[P, Awaitable[T]]:
    @wraps(method)
    async def timed(*args: P.args, **kwargs: P.kwargs) -> T:
        started, failed = perf_counter(), True
        try:
            result = await method(*args, **kwargs)
            failed = False
            return result
        finally:
            metrics.store.observe([perf_counter() - started], name)
            if failed:
                metrics.store_failures.labels(name, operation).inc()

    return timed

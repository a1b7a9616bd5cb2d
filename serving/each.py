"""Each by itself: whatever one item raises is its own, and the others are done all the same."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def attempt(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | Exception:
    """The function's result, or what it raised."""
    try:
        return function(*args, **kwargs)
    except Exception as error:  # an item's outermost handler: what can be wrong with one is not known beforehand
        return error


async def do_each(do: Callable[[T], Awaitable[object]], items: Iterable[T]) -> None:
    """Do something with each item in turn; what failed is raised at the end, together, as an ExceptionGroup."""
    failures = []
    for item in items:
        (outcome,) = await asyncio.gather(do(item), return_exceptions=True)
        if isinstance(outcome, Exception):
            failures.append(outcome)
    raise_all(failures)


async def require_all(step: Callable[[], Awaitable[list[Exception]]]) -> None:
    """Do what gives a list of what failed in it, and raise that."""
    raise_all(await step())


def raise_all(failures: list[Exception]) -> None:
    """Raise what failed, if anything did."""
    if failures:
        raise ExceptionGroup("items failed", failures)

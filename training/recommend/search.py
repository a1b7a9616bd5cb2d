"""Chooses settings on validation, one at a time."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

S = TypeVar("S")


def search(
    evaluate: Callable[[S], float], start: S, grid: Mapping[str, tuple[float, ...]], *, most: int
) -> tuple[S, dict[S, float]]:
    """The best settings found in ``most`` evaluations, and what each evaluated one gave (higher is better).

    ``start`` is a frozen dataclass, and ``grid`` the values of some of its fields in ascending order, its own among
    them. Coordinate ascent: each field walks along its values, either way, while that helps; rounds go on until none
    does.
    """
    tried = {start: evaluate(start)}
    best = start
    improved = True
    while improved:
        improved = False
        for name, values in grid.items():
            for step in (-1, 1):
                while (candidate := _moved(best, name, values, step)) and (candidate in tried or len(tried) < most):
                    if candidate not in tried:
                        tried[candidate] = evaluate(candidate)
                    if tried[candidate] <= tried[best]:
                        break
                    best, improved = candidate, True
    return best, tried


def _moved(settings: S, name: str, values: tuple[float, ...], step: int) -> S | None:
    """The settings with one of them a step along its values; None past their end."""
    place = values.index(getattr(settings, name)) + step
    changed: Any = settings
    return replace(changed, **{name: values[place]}) if 0 <= place < len(values) else None

"""Chooses the settings of the neighbours on validation, one at a time."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Final

from training.recommend.neighbours import NeighbourSettings

MAX_EVALUATIONS: Final = 30

START: Final = NeighbourSettings(
    lag_power=0.4, length_power=0.0, backward=0.3, from_power=0.5, to_power=0.3, smoothing=3.0, decay=1.0
)
GRID: Final[Mapping[str, tuple[float, ...]]] = {
    "to_power": (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6),
    "decay": (0.25, 0.5, 0.75, 1.0, 1.25, 1.5),
    "lag_power": (0.0, 0.15, 0.25, 0.4, 0.5, 0.75, 1.0, 1.5),
    "smoothing": (0.0, 1.0, 3.0, 10.0, 30.0),
    "backward": (0.0, 0.15, 0.3, 0.6, 1.0),
    "from_power": (0.3, 0.4, 0.5, 0.6, 0.7),
    "length_power": (0.0, 0.25, 0.5),
}
"""What is tried, in order of what it is worth; each holds the value of ``START``."""


def search(
    evaluate: Callable[[NeighbourSettings], float], *, most: int = MAX_EVALUATIONS
) -> tuple[NeighbourSettings, dict[NeighbourSettings, float]]:
    """The best settings found in ``most`` evaluations, and what each evaluated one gave (higher is better).

    Coordinate ascent: each setting walks along its grid, either way, while that helps; rounds go on until none does.
    """
    tried = {START: evaluate(START)}
    best = START
    improved = True
    while improved:
        improved = False
        for name in GRID:
            for step in (-1, 1):
                while (candidate := _moved(best, name, step)) and (candidate in tried or len(tried) < most):
                    if candidate not in tried:
                        tried[candidate] = evaluate(candidate)
                    if tried[candidate] <= tried[best]:
                        break
                    best, improved = candidate, True
    return best, tried


def _moved(settings: NeighbourSettings, name: str, step: int) -> NeighbourSettings | None:
    """The settings with one of them a step along its grid; None past its end."""
    values = asdict(settings)
    place = GRID[name].index(values[name]) + step
    return NeighbourSettings(**{**values, name: GRID[name][place]}) if 0 <= place < len(GRID[name]) else None

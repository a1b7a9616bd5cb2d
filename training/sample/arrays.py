"""The array types of the sample community, and the two group operations its day loop needs."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Ints: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]
Bools: TypeAlias = npt.NDArray[np.bool_]


def rank_in_group(groups: Ints) -> Ints:
    """0, 1, 2, ... within each run of equal values; ``groups`` has equal values side by side."""
    place = np.arange(len(groups))
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    return place - np.repeat(starts, np.diff(np.append(starts, len(groups))))


def mean_by_group(groups: Ints, values: Floats, *, n_groups: int, empty: float) -> Floats:
    """Mean of ``values`` for each group 0..n_groups-1, ``empty`` for a group with no value."""
    counts = np.bincount(groups, minlength=n_groups)
    sums = np.bincount(groups, weights=values, minlength=n_groups)
    return np.where(counts > 0, sums / np.maximum(counts, 1), empty)


def logistic(x: Floats) -> Floats:
    """1 / (1 + exp(-x))."""
    return 1.0 / (1.0 + np.exp(-x))

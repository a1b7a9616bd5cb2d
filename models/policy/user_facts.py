"""The facts of users as columns: from states, and from churn scores where there are some."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from features.schema import EVENT_KINDS, KIND_CODES
from features.state import UNKNOWN_FOLLOWERS
from features.user import CATALOGUE, N_AGES, WINDOWS, Seen
from models.policy.facts import ENGAGEMENT

_WINDOWED: Final = re.compile(rf"n_({'|'.join(['engagement', *EVENT_KINDS])})_({'|'.join(map(str, WINDOWS))})d")
_BESIDE: Final = {"n_followers", "churn_probability", "churn_threshold"}


@dataclass(frozen=True, slots=True, eq=False)
class ChurnKnown:
    """What a churn model says: per user the probability at its longest horizon, NaN where there is none; its threshold
    there.
    """

    probability: npt.NDArray[np.float32]
    threshold: float


class UserFacts:
    """The facts of some names, side by side."""

    def __init__(self, names: Sequence[str]) -> None:
        """ValueError for a name that is no fact's."""
        self._n_names = len(names)
        counts = [
            (place, name) for place, name in enumerate(names) if name not in CATALOGUE and _WINDOWED.fullmatch(name)
        ]
        self._counts = [place for place, _ in counts]
        self._counted = np.column_stack([_counted(name) for _, name in counts] or [np.empty((0, 0))])
        self._others = [(place, name) for place, name in enumerate(names) if place not in self._counts]
        if unknown := {name for _, name in self._others} - CATALOGUE.keys() - _BESIDE:
            raise ValueError(f"no fact of users is called {', '.join(sorted(unknown))}")

    def read(self, seen: Seen, churn: ChurnKnown | None) -> npt.NDArray[np.float64]:
        """The facts, float64 of shape (n_users, n_names + 1); the last column is 0.

        Without ``churn``, what a churn model says is unknown.
        """
        table = np.zeros((len(seen.states), self._n_names + 1))
        if self._counts:
            table[:, self._counts] = seen.n_by_kind_and_age @ self._counted
        for place, name in self._others:
            table[:, place] = _column(name, seen, churn)
        return table


def _column(name: str, seen: Seen, churn: ChurnKnown | None) -> npt.NDArray[np.floating] | float:
    if name in CATALOGUE:
        return seen.column(CATALOGUE[name])
    if name == "n_followers":
        n_followers = seen.states.n_followers.astype(np.float64)
        n_followers[n_followers == UNKNOWN_FOLLOWERS] = np.nan
        return n_followers
    if churn is None:
        return np.nan
    return churn.probability if name == "churn_probability" else churn.threshold


def _counted(name: str) -> npt.NDArray[np.float64]:
    """What a fact such as ``n_publish_30d`` counts: 1 for each kind and age that it takes, 0 for the others."""
    _, what, days = _WINDOWED.split(name)[:3]
    kinds = [KIND_CODES[kind] for kind in (ENGAGEMENT if what == "engagement" else (what,))]
    taken = np.zeros((len(EVENT_KINDS), N_AGES))
    taken[kinds, : WINDOWS.index(int(days)) + 1] = 1
    return taken.ravel()

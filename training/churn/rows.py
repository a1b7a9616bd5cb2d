"""What a model is fitted on: users' features at an instant, and when they next came back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from features.snapshots import Snapshot
from features.state import DAY_US, NEVER
from features.user import Feature, compute_features

Floats = npt.NDArray[np.float64]
_GOLDEN_RATIO: Final = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Users at one instant: their numbers as in a snapshot, features (float32, (n, n_features)), next activity."""

    as_of: int
    users: npt.NDArray[np.int64]
    features: npt.NDArray[np.float32]
    next_at: npt.NDArray[np.int64]

    @classmethod
    def of(cls, snapshot: Snapshot, features: Sequence[Feature]) -> Self:
        """The rows of a snapshot's users."""
        computed = compute_features(features, snapshot.states, snapshot.as_of)
        return cls(snapshot.as_of, snapshot.users, computed, snapshot.next_at)

    def __len__(self) -> int:
        return len(self.users)

    def churned(self, horizon_days: int) -> Floats:
        """1.0 for each user without activity in the ``horizon_days`` from the instant, else 0.0."""
        return churned(self.next_at, self.as_of, horizon_days)

    def thin(self, most: int) -> Self:
        """At most ``most`` of the rows, chosen by a hash of user and day: the same ones in every run."""
        if len(self) <= most:
            return self
        chosen = np.sort(np.argsort(_mix(self.users + self.as_of // DAY_US), kind="stable")[:most])
        return type(self)(self.as_of, self.users[chosen], self.features[chosen], self.next_at[chosen])


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Rows of several instants on top of one another, labelled for one horizon; ``late`` marks the latest instants'."""

    users: npt.NDArray[np.int64]
    features: npt.NDArray[np.float32]
    y: Floats
    late: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, rows: Sequence[Rows], horizon_days: int, *, late_share: float) -> Self:
        """Stack ``rows`` (in time order); the last ``late_share`` of the instants, at least one, are late."""
        n_early = len(rows) - max(1, int(np.ceil(len(rows) * late_share)))
        return cls(
            users=np.concatenate([one.users for one in rows]),
            features=np.concatenate([one.features for one in rows]),
            y=np.concatenate([one.churned(horizon_days) for one in rows]),
            late=np.concatenate([np.full(len(one), place >= n_early) for place, one in enumerate(rows)]),
        )

    def without(self, column: int) -> Self:
        """The table with one feature left out."""
        return type(self)(self.users, np.delete(self.features, column, axis=1), self.y, self.late)


def churned(next_at: npt.NDArray[np.int64], as_of: int, horizon_days: int) -> Floats:
    """1.0 where the next activity after ``as_of`` is not within ``horizon_days``, else 0.0."""
    away: npt.NDArray[np.bool_] = (next_at == NEVER) | (next_at >= as_of + horizon_days * DAY_US)
    return away.astype(np.float64)


def fold_of(users: npt.NDArray[np.int64], n_folds: int) -> npt.NDArray[np.int64]:
    """A fold for each user, by hash: a user is in the same fold at every instant."""
    return (_mix(users) % np.uint64(n_folds)).astype(np.int64)


def _mix(values: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    return np.asarray((values.astype(np.uint64) * _GOLDEN_RATIO) >> np.uint64(32))

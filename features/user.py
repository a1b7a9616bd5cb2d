"""The features of a user: pure functions of states and an instant, the same offline and online.

Every function takes a ``Seen``: the states of many users as they stand at ``as_of``. It gives one float32 column,
shape (n_users,), in the order of the users. States hold nothing at or after ``as_of`` (the caller folds or aggregates
only what came before), so no look-ahead is possible. All sums are of integers, exact in float64 whatever their order,
so one user alone gets bit for bit what the same user gets in a crowd.

A window of ``d`` days is the community day that holds the last moment before ``as_of`` and the ``d - 1`` before it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from features.schema import EVENT_KINDS, IMPRESSION, KIND_CODES
from features.state import DAY_US, NEVER, RETAINED_DAYS, UserStates, community_day

FloatColumn: TypeAlias = npt.NDArray[np.float32]
_Ints: TypeAlias = npt.NDArray[np.int64]
_Exact: TypeAlias = npt.NDArray[np.float64]

WINDOWS: Final = (7, 30, 90)
"""The days back that recent events are counted over."""
N_AGES: Final = len(WINDOWS) + 1

HALF_LIFE_DAYS: Final = 30
_ONE: Final = 1 << 20
_WEIGHTS: Final = np.array([round(_ONE * 0.5 ** (age / HALF_LIFE_DAYS)) for age in range(RETAINED_DAYS)], np.int64)

_AGE_OF: Final = np.searchsorted(WINDOWS, np.arange(RETAINED_DAYS), "right")
"""By age in days: the first of the windows that holds it."""


class Seen:
    """What the features read: states at ``as_of``, with the groupings that several features share, made once."""

    def __init__(self, states: UserStates, as_of: int) -> None:
        self.states = states
        self.as_of = as_of
        age = community_day(as_of - 1) - states.rows["day"].astype(np.int64)
        kept = age < RETAINED_DAYS
        self._rows = states.rows if kept.all() else states.rows[kept]
        self._user = states.row_user if kept.all() else states.row_user[kept]
        self._age = age[kept]
        self._columns: dict[str, FloatColumn] = {}

    def column(self, feature: "Feature") -> FloatColumn:
        """A feature of these users, computed when first asked for."""
        if feature.name not in self._columns:
            self._columns[feature.name] = feature.compute(self)
        return self._columns[feature.name]

    def per_user(self, users: _Ints, amounts: npt.NDArray[Any] | None = None) -> npt.NDArray[np.float64]:
        """The sum of integer amounts (without any: the count) by user, exact."""
        return np.bincount(users, amounts, len(self.states)).astype(np.float64, copy=False)

    @cached_property
    def events(self) -> tuple[_Ints, _Ints, _Exact, _Exact]:
        """(user, age in days, number of events, sum of their values in thousandths) of each tally of activity."""
        chosen = self._rows["kind"] != IMPRESSION
        n, value = (self._rows[name][chosen].astype(np.float64) for name in ("n", "value"))
        return self._user[chosen], self._age[chosen], n, value

    @cached_property
    def days(self) -> tuple[_Ints, _Ints]:
        """(user, age in days) of each day with activity."""
        user, age, _, _ = self.events
        starts = np.ones(len(user), np.bool_)
        starts[1:] = (user[1:] != user[:-1]) | (age[1:] != age[:-1])
        return user[starts], age[starts]

    @cached_property
    def n_active_days(self) -> _Exact:
        """Days with activity, by user."""
        return self.per_user(self.days[0])

    @cached_property
    def value_total(self) -> _Exact:
        """The sum of the values of activity, by user."""
        user, _, _, value = self.events
        return self.per_user(user, value) / 1000

    @cached_property
    def n_by_kind(self) -> npt.NDArray[np.float64]:
        """Events of each kind, shape (n_users, n_kinds)."""
        shape = len(self.states), len(EVENT_KINDS)
        n = np.bincount(self._user_and_kind, self._rows["n"], shape[0] * shape[1])
        return n.astype(np.float64, copy=False).reshape(shape)

    @cached_property
    def age_by_kind(self) -> npt.NDArray[np.float64]:
        """Age in days of the last event of each kind, NaN where there is none, shape (n_users, n_kinds)."""
        ages = np.full((len(self.states), len(EVENT_KINDS)), np.nan)
        ages.ravel()[self._user_and_kind] = self._age  # a user's tallies ascend by day: the last one stays
        return ages

    @cached_property
    def n_by_kind_and_age(self) -> npt.NDArray[np.float64]:
        """Events of each kind at each of ``N_AGES`` ages: the last 7 days, the days before to 30, to 90, and older.

        Shape (n_users, n_kinds * N_AGES), the ages of a kind side by side.
        """
        shape = len(self.states), len(EVENT_KINDS) * N_AGES
        n = np.bincount(self._user_and_kind * N_AGES + _AGE_OF[self._age], self._rows["n"], shape[0] * shape[1])
        return n.astype(np.float64, copy=False).reshape(shape)

    @cached_property
    def _user_and_kind(self) -> _Ints:
        return np.asarray(self._user * len(EVENT_KINDS) + self._rows["kind"], np.int64)


def _column(values: npt.NDArray[Any]) -> FloatColumn:
    return values.astype(np.float32)


def _days_from(instants: _Ints, as_of: int) -> FloatColumn:
    return _column(np.where(instants == NEVER, np.nan, (as_of - np.maximum(instants, 0)) / DAY_US))


def _ratio(above: npt.NDArray[Any], below: npt.NDArray[Any]) -> FloatColumn:
    return _column(np.divide(above, below, out=np.full(len(below), np.nan), where=below > 0))


@dataclass(frozen=True, slots=True)
class Feature:
    """A column: what it measures, its unit, when it is missing (NaN), and the facts of a state it reads."""

    name: str
    unit: str
    missing: str
    facts: tuple[str, ...]
    meaning: str
    compute: Callable[[Seen], FloatColumn]


def feature(
    *, unit: str, facts: tuple[str, ...], missing: str = "never"
) -> Callable[[Callable[[Seen], FloatColumn]], Feature]:
    """Make a feature of a function: its name is the column's, its docstring's first sentence the meaning."""

    def wrap(compute: Callable[[Seen], FloatColumn]) -> Feature:
        meaning = " ".join((compute.__doc__ or "").split()).partition(".")[0]
        return Feature(compute.__name__, unit, missing, facts, meaning, compute)

    return wrap


@feature(unit="days", facts=("last_at",), missing="no activity")
def days_since_last_activity(seen: Seen) -> FloatColumn:
    """Days from the user's last activity to as_of."""
    return _days_from(seen.states.last_at, seen.as_of)


@feature(unit="days", facts=("first_at", "registered_at"), missing="no activity and no registration")
def tenure_days(seen: Seen) -> FloatColumn:
    """Days to as_of from the user's registration or first activity, whichever is known to be earlier.

    A log may begin long after its users did; a profile then says how new they really are.
    """
    first_at, registered_at = seen.states.first_at, seen.states.registered_at
    known = (registered_at != NEVER) & (registered_at < seen.as_of)
    earlier = known & ((first_at == NEVER) | (registered_at < first_at))
    return _days_from(np.where(earlier, registered_at, first_at), seen.as_of)


@feature(unit="days", facts=("tallies.day",))
def n_active_days(seen: Seen) -> FloatColumn:
    """Days with activity in the retained two years."""
    return _column(seen.n_active_days)


def n_active_days_within(days: int) -> Feature:
    """Days with activity within the last ``days`` days."""

    def compute(seen: Seen) -> FloatColumn:
        user, age = seen.days
        return _column(seen.per_user(user, age < days))

    meaning = f"Days with activity within the last {days} days"
    return Feature(f"n_active_days_{days}d", "days", "never", ("tallies.day",), meaning, compute)


@feature(unit="days", facts=("tallies.day",))
def recent_active_days(seen: Seen) -> FloatColumn:
    """Days with activity, each weighted by one half for every 30 days of its age."""
    user, age = seen.days
    return _column(seen.per_user(user, _WEIGHTS[age]) / _ONE)


@feature(unit="events", facts=("tallies.n",))
def n_events(seen: Seen) -> FloatColumn:
    """Activity events in the retained two years."""
    user, _, n, _ = seen.events
    return _column(seen.per_user(user, n))


def n_events_within(days: int) -> Feature:
    """Activity events within the last ``days`` days."""

    def compute(seen: Seen) -> FloatColumn:
        user, age, n, _ = seen.events
        return _column(seen.per_user(user, n * (age < days)))

    meaning = f"Activity events within the last {days} days"
    return Feature(f"n_events_{days}d", "events", "never", ("tallies.n",), meaning, compute)


@feature(unit="value", facts=("tallies.value",))
def value_total(seen: Seen) -> FloatColumn:
    """Sum of the values of activity in the retained two years, in the events' own unit."""
    return _column(seen.value_total)


@feature(unit="value", facts=("tallies.value", "tallies.day"), missing="no activity")
def value_per_active_day(seen: Seen) -> FloatColumn:
    """Sum of the values of activity per active day in the retained two years."""
    return _ratio(_column(seen.value_total), _column(seen.n_active_days))


def n_of_kind(kind: str) -> Feature:
    """Events of one kind in the retained two years."""

    def compute(seen: Seen) -> FloatColumn:
        return _column(seen.n_by_kind[:, KIND_CODES[kind]])

    meaning = f"Events of kind {kind} in the retained two years"
    return Feature(f"n_{kind}", "events", "never", ("tallies.n",), meaning, compute)


def days_since_last_of_kind(kind: str) -> Feature:
    """Community days since the last event of one kind."""

    def compute(seen: Seen) -> FloatColumn:
        return _column(seen.age_by_kind[:, KIND_CODES[kind]])

    meaning = f"Community days since the last event of kind {kind}"
    return Feature(f"days_since_last_{kind}", "days", f"no {kind}", ("tallies.day",), meaning, compute)


CHURN_FEATURES: Final = (
    days_since_last_activity,
    tenure_days,
    n_active_days,
    n_active_days_within(7),
    n_active_days_within(30),
    n_active_days_within(90),
    recent_active_days,
    n_events,
    n_events_within(30),
    value_total,
    value_per_active_day,
)
"""What every churn model reads, in this order."""

KIND_FEATURES: Final = {kind: (n_of_kind(kind), days_since_last_of_kind(kind)) for kind in EVENT_KINDS}
"""What a churn model reads for each of the kinds it was trained to tell apart."""

CATALOGUE: Final = {
    one.name: one for one in (*CHURN_FEATURES, *(one for pair in KIND_FEATURES.values() for one in pair))
}


def compute_features(features: Sequence[Feature], states: UserStates, as_of: int) -> npt.NDArray[np.float32]:
    """The columns of ``features`` side by side: float32, shape (n_users, n_features)."""
    return feature_table(features, Seen(states, as_of))


def feature_table(features: Sequence[Feature], seen: Seen) -> npt.NDArray[np.float32]:
    """``compute_features`` of what was seen, for those who go on to read more of it."""
    table = np.empty((len(seen.states), len(features)), np.float32)
    for place, one in enumerate(features):
        table[:, place] = seen.column(one)
    return table

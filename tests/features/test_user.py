"""What each feature measures, by value."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import pytest

from features.state import UserState, UserStates
from features.user import CATALOGUE, KIND_FEATURES, Seen

At: TypeAlias = Callable[[str], int]
History: TypeAlias = Callable[..., UserState]

# Community times; asked at noon of 2024-05-31. The comment is the age in community days.
HISTORY = (
    ("purchase", "2024-03-02T10:00+08:00", 100),  # 90
    ("purchase", "2024-03-03T10:00+08:00", 50.25),  # 89
    ("like", "2024-05-01T10:00+08:00"),  # 30
    ("collect", "2024-05-02T10:00+08:00"),  # 29
    ("click", "2024-05-24T10:00+08:00"),  # 7
    ("click", "2024-05-25T23:59+08:00"),  # 6
    ("impression", "2024-05-30T08:00+08:00"),
    ("open", "2024-05-31T09:05+08:00"),  # 0
    ("read", "2024-05-31T09:20+08:00", 30.5),
    ("click", "2024-05-31T09:40+08:00"),
    ("impression", "2024-05-31T11:00+08:00"),
    ("like", "2024-05-31T11:30+08:00", 5),
)
NOON = "2024-05-31T12:00+08:00"
EXPECTED = {
    "days_since_last_activity": 0.5 / 24,
    "tenure_days": 90 + 2 / 24,
    "n_active_days": 7,
    "n_active_days_7d": 2,
    "n_active_days_30d": 4,
    "n_active_days_90d": 6,
    "recent_active_days": 1 + 0.870551 + 0.850667 + 0.511687 + 0.5 + 0.127922 + 0.125,  # one half to the age / 30
    "n_events": 10,
    "n_events_30d": 7,
    "value_total": 185.75,
    "value_per_active_day": 185.75 / 7,
    "n_click": 3,
    "days_since_last_click": 0,
    "n_purchase": 2,
    "days_since_last_purchase": 89,
    "n_collect": 1,
    "days_since_last_collect": 29,
    "n_impression": 2,
    "days_since_last_impression": 0,
    "n_share": 0,
    "days_since_last_share": np.nan,
}


def value_of(name: str, state: UserState, as_of: int) -> float:
    states = UserStates.decode([state.encode()])
    return float(CATALOGUE[name].compute(Seen(states, as_of))[0])


@pytest.mark.parametrize(("name", "expected"), EXPECTED.items())
def test_a_feature_measures_what_it_says(state: History, at: At, name: str, expected: float) -> None:
    assert value_of(name, state(*HISTORY), at(NOON)) == pytest.approx(expected, abs=1e-5, nan_ok=True)


def test_every_feature_has_a_value_worked_out_by_hand() -> None:
    kinds = {one.name for pair in KIND_FEATURES.values() for one in pair}
    assert CATALOGUE.keys() - kinds <= EXPECTED.keys() <= CATALOGUE.keys()


@pytest.mark.parametrize(
    ("name", "day", "expected"),
    [
        ("n_active_days_7d", "2024-05-25T00:00+08:00", 1),
        ("n_active_days_7d", "2024-05-24T23:59:59+08:00", 0),
        ("n_active_days_30d", "2024-05-02T00:00+08:00", 1),
        ("n_active_days_30d", "2024-05-01T23:59:59+08:00", 0),
        ("n_active_days_90d", "2024-03-03T00:00+08:00", 1),
        ("n_active_days_90d", "2024-03-02T23:59:59+08:00", 0),
        ("n_events_30d", "2024-05-02T00:00+08:00", 1),
        ("n_events_30d", "2024-05-01T23:59:59+08:00", 0),
        ("days_since_last_like", "2024-05-31T00:00+08:00", 0),
        ("days_since_last_like", "2024-05-30T23:59:59+08:00", 1),
    ],
)
@pytest.mark.parametrize("as_of", ["2024-05-31T00:00:01+08:00", NOON, "2024-06-01T00:00+08:00"])
def test_a_window_is_the_last_community_day_before_as_of_and_those_before_it(
    state: History, at: At, name: str, day: str, expected: float, as_of: str
) -> None:
    assert value_of(name, state(("like", day)), at(as_of)) == expected


@pytest.mark.parametrize(("as_of", "n_days"), [("2024-05-01T00:00+08:00", 1), ("2024-05-01T00:00:01+08:00", 0)])
def test_a_day_leaves_every_count_after_730_days_even_without_a_new_event(
    state: History, at: At, as_of: str, n_days: int
) -> None:
    one = state(("like", "2022-05-02T00:00+08:00", 3))  # 730 days before 2024-05-01
    names = ("n_active_days", "n_events", "n_like")
    assert [value_of(name, one, at(as_of)) for name in names] == [n_days] * 3
    assert value_of("days_since_last_activity", one, at(as_of)) == pytest.approx(730)


@pytest.mark.parametrize(
    ("registered", "expected"),
    [("2024-05-01T12:00+08:00", 30), ("2024-05-30T12:00+08:00", 21), ("2024-06-01T12:00+08:00", 21)],
)
def test_tenure_begins_with_the_earlier_of_registration_and_first_activity(
    state: History, at: At, registered: str, expected: float
) -> None:
    one = replace(state(("click", "2024-05-10T12:00+08:00")), registered_at=at(registered))
    assert value_of("tenure_days", one, at(NOON)) == expected


def test_a_registered_user_without_activity_has_a_tenure(at: At) -> None:
    assert value_of("tenure_days", UserState(registered_at=at("2024-05-30T12:00+08:00")), at(NOON)) == 1


def test_an_impression_is_counted_nowhere_but_under_its_own_kind(state: History, at: At) -> None:
    without, shown = state(("click", "2024-05-01")), state(("click", "2024-05-01"), ("impression", "2024-05-02", 9))
    differing = {name for name in CATALOGUE if value_of(name, without, at(NOON)) != value_of(name, shown, at(NOON))}
    nan = {name for name in CATALOGUE if np.isnan(value_of(name, shown, at(NOON)))}
    assert differing - nan == {"n_impression", "days_since_last_impression"}


def test_sums_stay_exact_at_the_largest_values_that_are_allowed(state: History, at: At) -> None:
    one = state(*[("purchase", "2024-05-01", 1e9)] * 100, ("purchase", "2024-05-02", 0.001))
    states = UserStates.decode([one.encode()])
    assert states.rows["value"].tolist() == [100 * 10**12, 1]
    assert value_of("value_total", one, at(NOON)) == np.float32(1e11)

"""When a model looks: the embargo, the defaults, and what is said where a log is too short."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import DataError
from features.state import DAY_US
from training.churn.config import ChurnConfig
from training.churn.instants import (
    MAX_INSTANTS,
    MIN_INSTANTS,
    Plan,
    date_of,
    is_closed,
    plan_instants,
    short_horizon,
    without_long_horizons,
)
from training.errors import ConfigError

FIRST = round(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000


def plan_for(n_days: int, **settings: Any) -> Plan:
    """The plan for a log of that many days from 2026-01-01."""
    return plan_instants(ChurnConfig.model_validate(settings), FIRST, FIRST + n_days * DAY_US)


def days(*instants: int) -> list[float]:
    """Days into the log."""
    return [(instant - FIRST) / DAY_US for instant in instants]


@given(
    st.sets(st.integers(1, 120), min_size=1, max_size=4).map(sorted),
    st.none() | st.integers(1, 400),
    st.integers(1, 20),
    st.integers(1, 900),
)
def test_no_plan_looks_into_the_future(
    horizon_days: list[int], active_days: int | None, n_test_instants: int, n_days: int
) -> None:
    settings = {"horizon_days": horizon_days, "active_days": active_days, "n_test_instants": n_test_instants}
    try:
        plan = plan_for(n_days, **settings)
    except DataError:
        return
    shortest, main_horizon = min(horizon_days[0], short_horizon(horizon_days[-1])), horizon_days[-1]
    assert list(plan.test) == sorted(set(plan.test))
    assert 1 <= len(plan.test) <= n_test_instants
    assert all(is_closed(test, main_horizon, by=FIRST + n_days * DAY_US) for test in plan.test)
    assert all(is_closed(instant, shortest, by=plan.main) and instant > FIRST for instant in plan.train)
    assert len(plan.train) <= MAX_INSTANTS
    for test in plan.test:
        assert sum(is_closed(instant, main_horizon, by=test) for instant in plan.train) >= MIN_INSTANTS


def test_a_window_closes_when_its_last_day_has_passed() -> None:
    assert is_closed(FIRST, 7, by=FIRST + 7 * DAY_US)
    assert not is_closed(FIRST, 7, by=FIRST + 7 * DAY_US - 1)


def test_by_default_the_test_comes_last_and_training_every_thirteenth_of_the_horizon_before_it() -> None:
    plan = plan_for(360, horizon_days=[30, 90])
    assert days(plan.main) == [270]  # 90 days before the log ends
    assert days(*plan.test) == [270 - 42, 270 - 28, 270 - 14, 270]  # a sixth of 90, in whole steps of 7
    assert days(plan.train[-1]) == [270 - 28]  # 28 is the short horizon of 90
    assert days(*plan.train)[-3:] == [228, 235, 242]
    assert days(plan.train[0]) == [18]  # after a sixth of the 90 active days, 15, in steps of 7 from the last


def test_a_short_log_is_used_from_its_second_week() -> None:
    plan = plan_for(30, horizon_days=[7])
    assert days(plan.main, plan.train[0], plan.train[-1]) == [23, 9, 16]  # seven steps before the first closed window


def test_a_long_log_is_used_back_to_the_hundredth_instant() -> None:
    assert len(plan_for(3000, horizon_days=[7]).train) == MAX_INSTANTS


@pytest.mark.parametrize("n_days", [1, 20])
def test_a_log_too_short_is_refused_with_its_dates(n_days: int) -> None:
    end = date_of(FIRST + n_days * DAY_US)
    with pytest.raises(DataError, match=f"the log from 2026-01-01 to {end} leaves 0 training instants"):
        plan_for(n_days, horizon_days=[14])


def test_a_test_instant_whose_window_is_open_is_refused_with_its_date() -> None:
    with pytest.raises(DataError, match="the log ends 2026-04-11, before the 30 days after test_as_of 2026-03-13 have"):
        plan_for(100, test_as_of="2026-03-13")
    assert days(plan_for(100, test_as_of="2026-03-12").main) == [70]


def test_given_instants_are_taken_in_order_without_repeats() -> None:
    given_days = ["2026-02-20", "2026-01-10", "2026-02-01T08:00:00+08:00", "2026-01-20", "2026-01-10", "2026-03-20"]
    plan = plan_for(100, horizon_days=[7], test_as_of="2026-03-10", train_as_of=given_days)
    assert days(*plan.train) == [9, 19, 31, 50]  # the one after the test instant is no use


def test_a_given_span_holds_both_its_ends() -> None:
    span = {"start": "2026-01-10", "end": "2026-01-30", "every_days": 10}
    assert days(*plan_for(100, horizon_days=[7], train_as_of=span).train) == [9, 19, 29]


@pytest.mark.parametrize("train_as_of", [[], {"start": "2026-02-01", "end": "2026-01-01", "every_days": 1}])
def test_no_instants_are_too_few(train_as_of: Any) -> None:
    with pytest.raises(DataError, match="leaves 0 training instants"):
        plan_for(100, horizon_days=[7], train_as_of=train_as_of)


def test_more_given_instants_than_can_be_kept_are_refused() -> None:
    with pytest.raises(ConfigError, match="train_as_of names 101 instants, at most 100"):
        plan_for(300, train_as_of={"start": "2026-01-01", "end": "2026-04-11", "every_days": 1})


@pytest.mark.parametrize(("horizon_days", "short"), [(1, 7), (7, 7), (30, 7), (32, 14), (90, 28)])
def test_the_short_horizon_is_about_a_third_in_whole_weeks(horizon_days: int, short: int) -> None:
    assert short_horizon(horizon_days) == short


def test_default_horizons_that_a_log_is_too_short_for_are_left_out() -> None:
    days = {71: (7, 14), 72: (7, 14, 30), 35: (7,)}
    for n_days, expected in days.items():
        fitted = without_long_horizons(ChurnConfig(), FIRST, FIRST + n_days * DAY_US)
        assert (n_days, fitted.horizon_days) == (n_days, expected)


def test_horizons_that_were_asked_for_are_kept_however_short_the_log() -> None:
    asked = ChurnConfig(horizon_days=(7, 30))
    assert without_long_horizons(asked, FIRST, FIRST + 40 * DAY_US) == asked

"""Fitting one horizon: deterministic, embargoed, calibrated in the same order, shifted where the rate moves."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import logit

from features.errors import DataError
from features.state import DAY_US, NEVER
from training.churn.fitting import (
    N_FOLDS,
    Choice,
    Grid,
    HorizonFit,
    calibrated,
    fit_horizon,
    fit_linear,
    platt,
    rate_drift,
    tune,
)
from training.churn.rows import Rows, Table, fold_of

Floats = npt.NDArray[np.float64]
Make = Callable[..., list[Rows]]

WEEK_US = 7 * DAY_US
TEST = 12 * WEEK_US
ONE_CHOICE = Grid(n_trees=[25], inverse_penalties=[0.03], tree_weights=[0.5])


@pytest.fixture
def weekly() -> Make:
    """Rows of the same users at weekly instants, whose churn hangs on the first of three features.

    ``rates`` are the churn rates, an instant each; who is away once stays away for good.
    """

    def make(rates: Sequence[float], *, n_users: int = 400) -> list[Rows]:
        rng = np.random.default_rng(9)
        rows = []
        for week, rate in enumerate(rates):
            features = rng.normal(size=(n_users, 3)).astype(np.float32)
            away = features[:, 0] + rng.normal(size=n_users)
            as_of = week * WEEK_US
            next_at = np.full(n_users, as_of + DAY_US)
            next_at[np.argsort(-away)[: round(rate * n_users)]] = NEVER
            rows.append(Rows(as_of, np.arange(n_users), features, next_at))
        return rows

    return make


@pytest.fixture
def steady(weekly: Make) -> list[Rows]:
    """Twelve weeks at a rate of .3."""
    return weekly([0.3] * 12)


def test_the_same_rows_and_seed_give_the_same_fit(steady: list[Rows]) -> None:
    first, again, other = (fit_horizon(steady, 14, test=TEST, seed=seed) for seed in (1, 1, 2))
    assert first.booster.model_to_string() == again.booster.model_to_string()
    assert (first.choice, first.threshold) == (again.choice, again.threshold)
    assert first.booster.model_to_string() != other.booster.model_to_string()


def test_a_window_that_is_still_open_teaches_nothing(steady: list[Rows]) -> None:
    *closed, last, after = steady
    poison = [replace(one, features=one.features * 0, next_at=one.next_at * 0) for one in (last, after)]
    test = last.as_of + WEEK_US - 1  # a moment too early for the window of ``last``
    first, second = (fit_horizon(rows, 7, test=test, seed=1) for rows in (steady, [*closed, *poison]))
    assert first.booster.model_to_string() == second.booster.model_to_string()
    assert first.choice == second.choice


def test_the_probabilities_are_those_of_the_world(steady: list[Rows], weekly: Make) -> None:
    fit = fit_horizon(steady, 14, test=TEST, seed=1)
    (unseen,) = weekly([0.3], n_users=5000)
    p, y = fit.predict(unseen.features), unseen.churned(14)
    assert p.mean() == pytest.approx(0.3, abs=0.04)
    risky = p > 0.5
    assert y[risky].mean() == pytest.approx(p[risky].mean(), abs=0.06)


def test_the_threshold_marks_a_tenth(steady: list[Rows], weekly: Make) -> None:
    fit = fit_horizon(steady, 14, test=TEST, seed=1)
    (unseen,) = weekly([0.3], n_users=5000)
    assert (fit.predict(unseen.features) >= fit.threshold).mean() == pytest.approx(0.1, abs=0.04)


def test_tuning_judges_the_late_rows_and_fits_none_of_them(steady: list[Rows]) -> None:
    table = Table.of(steady, 14, late_share=1 / 3)
    flipped = replace(table, y=np.where(table.late, 1 - table.y, table.y))
    first, second = (tune(one, 1, ONE_CHOICE) for one in (table, flipped))
    np.testing.assert_array_equal(first.logit, second.logit)
    np.testing.assert_array_equal(first.y, 1 - second.y)
    assert (len(first.y), first.y.sum()) == (table.late.sum(), table.y[table.late].sum())


def test_tuning_judges_a_user_by_a_fit_on_others(steady: list[Rows]) -> None:
    table = Table.of(steady, 14, late_share=1 / 3)
    first_fold = fold_of(table.users, N_FOLDS) == 0
    flipped = replace(table, y=np.where(first_fold & ~table.late, 1 - table.y, table.y))
    first, second = (tune(one, 1, ONE_CHOICE).logit for one in (table, flipped))
    n_judged = (first_fold & table.late).sum()
    np.testing.assert_array_equal(first[:n_judged], second[:n_judged])
    assert (first[n_judged:] != second[n_judged:]).all()


def test_calibration_keeps_the_order_even_where_the_logits_mislead() -> None:
    z = np.linspace(-3, 3, 100)
    slope, intercept = platt(z, (z < 0).astype(np.float64))
    assert slope > 0
    p = calibrated(z, Choice(1, 1.0, 0.5, slope, intercept), drift=-0.5)
    assert (np.diff(p) > 0).all()


def test_calibration_finds_slope_and_intercept() -> None:
    z = np.repeat([-1.0, 1.0], 1000)
    y = np.concatenate([np.arange(1000) < 200, np.arange(1000) < 600]).astype(np.float64)  # .2 and .6
    low, high = logit(0.2), logit(0.6)
    assert platt(z, y) == pytest.approx(((high - low) / 2, (high + low) / 2), abs=1e-3)


@pytest.mark.parametrize("useless", [np.nan, 0.0, -5.0])
def test_a_feature_without_values_or_spread_adds_nothing(useless: float) -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(500, 1)).astype(np.float32)
    y = (x[:, 0] + rng.normal(size=500) > 0).astype(np.float64)
    wide = np.hstack([x, np.full((500, 1), useless, np.float32)])
    with_it, without = fit_linear(wide, y, 0.1), fit_linear(x, y, 0.1)
    np.testing.assert_allclose(with_it.logit(wide), without.logit(x), atol=1e-4)
    assert np.isfinite(with_it.logit(np.array([[1, np.nan], [1, 7], [np.nan, np.inf]], np.float32))).all()


def test_a_missing_value_counts_as_the_median() -> None:
    x = np.array([[1], [np.nan], [3], [8]], np.float32)
    linear = fit_linear(x, np.array([0.0, 0, 1, 1]), 1.0)
    np.testing.assert_allclose(linear.fill, [np.log(4)], rtol=1e-6)
    np.testing.assert_allclose(linear.logit(x)[1], linear.logit(x)[2], rtol=1e-6)


@pytest.mark.parametrize("rate_since", [0.2, 0.45])
def test_the_drift_is_half_of_how_far_the_rate_has_moved_since(weekly: Make, rate_since: float) -> None:
    # 28-day windows that close by week 12 begin by week 8, 7-day windows by week 11
    rows = [replace(one, features=one.features * 0) for one in weekly([0.3] * 9 + [rate_since] * 3, n_users=2000)]
    drift = rate_drift(rows, 28, test=TEST, inverse_penalty=0.1)
    assert drift == pytest.approx((logit(rate_since) - logit(0.3)) / 2, abs=0.01)


def test_the_drift_is_bounded(weekly: Make) -> None:
    rows = weekly([0.05] * 9 + [0.95] * 3)
    assert rate_drift(rows, 28, test=TEST, inverse_penalty=0.1) == 0.5
    assert rate_drift(weekly([0.95] * 9 + [0.05] * 3), 28, test=TEST, inverse_penalty=0.1) == -0.5


@pytest.mark.parametrize("horizon_days", [1, 7, 13])
def test_a_short_horizon_sees_no_drift(weekly: Make, horizon_days: int) -> None:
    assert rate_drift(weekly([0.1] * 6 + [0.6] * 6), horizon_days, test=TEST, inverse_penalty=0.1) == 0


def test_without_later_instants_or_outcomes_there_is_no_drift(steady: list[Rows], weekly: Make) -> None:
    assert rate_drift(steady[:8], 28, test=TEST, inverse_penalty=0.1) == 0
    everyone = weekly([0.3] * 9 + [1.0] * 3)
    assert rate_drift(everyone, 28, test=TEST, inverse_penalty=0.1) == 0


@pytest.mark.parametrize(("rate", "said"), [(0.005, "24 of 4800"), (0.995, "4776 of 4800")])
def test_too_few_of_either_outcome_are_refused(weekly: Make, rate: float, said: str) -> None:
    with pytest.raises(DataError, match=f"{said} training rows churned within 7 days"):
        fit_horizon(weekly([rate] * 12), 7, test=TEST + WEEK_US, seed=1)


def test_one_users_history_is_too_little_to_tune_on(weekly: Make) -> None:
    alone = [replace(one, users=np.zeros(len(one), np.int64)) for one in weekly([0.5] * 12, n_users=20)]
    with pytest.raises(DataError, match="too few users churned, or too few returned"):
        fit_horizon(alone, 7, test=TEST, seed=1)


def test_baselines_are_fitted_on_the_same_rows(steady: list[Rows]) -> None:
    fit: HorizonFit = fit_horizon(steady, 14, test=TEST, seed=1)
    rows = steady[-1]
    recency, logistic = (fit.predict_baseline(name, rows.features) for name in ("recency", "logistic"))
    np.testing.assert_array_equal(np.argsort(recency), np.argsort(rows.features[:, 0]))
    assert np.corrcoef(recency, logistic)[0, 1] > 0.9

"""Figures against hand-worked values, scikit-learn, and what an interval promises."""

from dataclasses import replace
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from training.metrics import Trial, auc, bootstrap, ece, ece_by_chance, judge, lift_at, paired_auc_difference

Floats = npt.NDArray[np.float64]

Y = np.array([0.0, 1.0, 0.0, 1.0])
P = np.array([0.1, 0.4, 0.4, 0.8])


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def test_auc_is_the_share_of_pairs_in_the_right_order_ties_counting_half() -> None:
    assert auc(Y, P).tolist() == [3.5 / 4]


def test_a_weight_counts_a_row_that_often() -> None:
    weights = np.array([[1.0, 2.0, 1.0, 0.0], [1.0, 1.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]])
    figures = auc(Y, P, weights)
    assert figures[:2].tolist() == [3 / 4, 3.5 / 4]  # first row: of 2 x 2 pairs 2 are right and 2 tie
    assert np.isnan(figures[2])  # nobody returned


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 4)), min_size=2, max_size=30))
def test_auc_agrees_with_scikit_learn(rows: list[tuple[bool, int, int]]) -> None:
    y, p, weights = np.array(rows, np.float64).T
    assume(0 < (y * weights).sum() < weights.sum())
    assert auc(y, p / 5, weights[None])[0] == pytest.approx(roc_auc_score(y, p, sample_weight=weights))


def test_ece_weighs_the_gap_of_each_bin_by_its_rows() -> None:
    p, y = np.array([0.05, 0.15, 0.15, 1.0]), np.array([0.0, 0.0, 1.0, 1.0])
    assert ece(y, p) == pytest.approx((0.05 + 0.7 + 0.0) / 4)  # gaps .05 (1 row), .35 (2 rows), 0 (1 row)


def test_lift_compares_the_riskiest_with_everyone() -> None:
    y, p = np.array([1.0, 0, 0, 0, 1, 0, 0, 0, 0, 0]), np.linspace(1, 0, 10)
    assert lift_at(y, p) == pytest.approx(5)  # 1 of 1 beside 2 of 10
    assert lift_at(y, p, share=0.5) == pytest.approx(2)
    assert np.isnan(lift_at(np.zeros(10), p))


def test_a_predictor_is_judged_by_all_its_figures(rng: np.random.Generator) -> None:
    quality = judge(Y, P, rng)
    assert quality.auc == 0.875
    assert quality.pr_auc == pytest.approx(average_precision_score(Y, P))
    assert quality.brier == pytest.approx((0.01 + 0.36 + 0.16 + 0.04) / 4)
    assert quality.auc_low <= quality.auc <= quality.auc_high
    assert quality.to_json().keys() == {"auc", "auc_low", "auc_high", "pr_auc", "brier", "ece", "lift_at_10"}


def test_where_one_outcome_is_absent_ranks_have_no_figure(rng: np.random.Generator) -> None:
    nobody, everybody = judge(np.zeros(4), P, rng), judge(np.ones(4), P, rng)
    for quality in (nobody, everybody):
        assert np.isnan([quality.auc, quality.auc_low, quality.auc_high]).all()
        assert quality.brier > 0


def test_a_resample_draws_as_many_as_there_are(rng: np.random.Generator) -> None:
    assert bootstrap(7, rng, lambda drawn: drawn.sum(axis=1)).tolist() == [7] * 400


def test_resamples_depend_on_the_seed_alone() -> None:
    first, again, other = (
        bootstrap(7, np.random.default_rng(seed), lambda drawn: drawn @ np.arange(7.0)) for seed in (5, 5, 6)
    )
    assert (first == again).all()
    assert (first != other).any()


def test_a_95_percent_interval_covers_the_truth_about_that_often(rng: np.random.Generator) -> None:
    truth = NormalDist().cdf(1 / np.sqrt(2))  # the AUC of two normals one deviation apart
    covered = 0
    for _ in range(100):
        y = np.repeat([0.0, 1.0], 80)
        quality = judge(y, 1 / (1 + np.exp(-rng.normal(y))), rng)
        covered += quality.auc_low <= truth <= quality.auc_high
    assert 88 <= covered <= 99


@pytest.fixture
def trial(rng: np.random.Generator) -> Trial:
    """200 users; ours ranks them well, theirs not so well."""
    y = np.repeat([0.0, 1.0], 100)
    return Trial(np.arange(200), y, rng.normal(y), rng.normal(y / 2))


def test_a_predictor_does_not_differ_from_itself(trial: Trial, rng: np.random.Generator) -> None:
    same = paired_auc_difference([replace(trial, theirs=trial.ours)], rng)
    assert (same.mean, same.low, same.high, same.n_instants) == (0, 0, 0, 1)


def test_the_difference_is_ours_minus_theirs_averaged_over_instants(trial: Trial, rng: np.random.Generator) -> None:
    lost = replace(trial, ours=-trial.ours)
    differences = [auc(one.y, one.ours)[0] - auc(one.y, one.theirs)[0] for one in (trial, lost)]
    assert paired_auc_difference([trial, lost], rng).mean == pytest.approx(np.mean(differences))


@pytest.mark.parametrize("n_instants", [2, 5])
def test_seeing_the_same_users_again_makes_nothing_surer(trial: Trial, n_instants: int) -> None:
    once, often = (paired_auc_difference([trial] * n, np.random.default_rng(2)) for n in (1, n_instants))
    assert (often.low, often.high) == pytest.approx((once.low, once.high))


def test_seeing_other_users_makes_the_difference_surer(trial: Trial, rng: np.random.Generator) -> None:
    others = [replace(trial, users=trial.users + 200 * place) for place in range(5)]
    one, five = (paired_auc_difference(trials, rng) for trials in ([trial], others))
    assert five.high - five.low < 0.6 * (one.high - one.low)  # 1 / sqrt(5) = .45


def test_chance_alone_allows_few_users_a_larger_calibration_error() -> None:
    rng = np.random.default_rng(4)
    few, many = (ece_by_chance(np.full(n, 0.5), rng) for n in (100, 10_000))
    # one bin: |mean(y) - 0.5| stays below 1.96 * 0.5 / sqrt(n) 19 times in 20
    assert few == pytest.approx(0.098, abs=0.012)
    assert many == pytest.approx(0.0098, abs=0.0012)

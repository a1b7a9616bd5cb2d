"""Blend, calibration and threshold, worked out by hand or on made-up notes whose truth is known."""

import numpy as np
import pytest

from training.quality.blend import (
    DEEP_WEIGHT,
    LEAST_THRESHOLD,
    MAX_CLEAN_FLAGGED,
    MIN_FLAGGED,
    NO_THRESHOLD,
    Logits,
    Tuning,
    fit_blend,
    threshold_for,
)


def made_up(n: int, *, seed: int = 0) -> Tuning:
    """Notes whose wide logit is true and whose deep one is noise."""
    rng = np.random.default_rng(seed)
    wide = rng.standard_normal(n) * 2
    y = (rng.random(n) < 1 / (1 + np.exp(-wide))).astype(np.float64)
    return Tuning(y, np.ones(n), Logits(wide, rng.standard_normal(n)))


def test_many_notes_find_the_part_that_tells_something() -> None:
    assert fit_blend(made_up(2000), 0.9).deep_weight < 0.15


def test_few_notes_leave_the_weight_near_where_it_was() -> None:
    assert fit_blend(made_up(12), 0.9).deep_weight == pytest.approx(DEEP_WEIGHT, abs=0.2)


def test_a_model_without_a_tower_has_no_deep_weight() -> None:
    tune = made_up(500)
    assert fit_blend(Tuning(tune.y, tune.weights, Logits(tune.parts.wide, None)), 0.9).deep_weight == 0


def test_the_calibration_finds_the_slope_of_what_is_true() -> None:
    tune = made_up(5000)
    blend = fit_blend(Tuning(tune.y, tune.weights, Logits(tune.parts.wide * 10, None)), 0.9)
    assert blend.slope / blend.wide_spread == pytest.approx(0.1, rel=0.1)
    assert blend.intercept == pytest.approx(0, abs=0.15)


def test_a_note_of_weight_2_counts_as_two_notes() -> None:
    tune = made_up(300)
    doubled = Tuning(tune.y, tune.weights * 2, tune.parts)
    parts = Logits(np.tile(tune.parts.wide, 2), np.tile(tune.parts.deep, 2))
    twice = Tuning(np.tile(tune.y, 2), np.tile(tune.weights, 2), parts)
    assert fit_blend(doubled, 0.9).slope == pytest.approx(fit_blend(twice, 0.9).slope, rel=1e-3)


def test_the_threshold_is_the_lowest_at_which_the_flags_are_as_precise_as_asked() -> None:
    p = np.linspace(0.99, 0.5, 50)
    y = np.array([1.0] * 20 + [0.0] * 5 + [1.0] * 5 + [0.0] * 20)
    # among the first 20: 20/20; 25: 20/25 = .8; 30: 25/30 = .83; 31: 25/31 = .806; 32: .78
    assert threshold_for(y, p, 1.0) == p[19]
    assert threshold_for(y, p, 0.8) == p[30]
    assert threshold_for(y, p, 0.82) == p[29]


def test_a_precision_that_no_threshold_reaches_flags_nothing() -> None:
    assert threshold_for(np.zeros(50), np.linspace(0, 0.9, 50), 0.5) == NO_THRESHOLD


def test_a_handful_of_lucky_notes_sets_no_threshold() -> None:
    y = np.zeros(50)
    y[-(MIN_FLAGGED - 1) :] = 1
    assert threshold_for(y, np.linspace(0, 0.9, 50), 0.95) == NO_THRESHOLD


def test_notes_of_equal_probability_are_flagged_together() -> None:
    p = np.array([0.9] * 12 + [0.1] * 20)
    y = np.array([1.0] * 11 + [0.0] + [0.0] * 20)
    assert threshold_for(y, p, 11 / 12) == 0.9
    assert threshold_for(y, p, 1.0) == NO_THRESHOLD


def test_no_flag_says_less_than_likelier_than_not() -> None:
    assert threshold_for(np.ones(50), np.linspace(0.01, 0.99, 50), 0.9) == LEAST_THRESHOLD


def test_where_few_notes_are_likely_to_have_it_one_half_must_do() -> None:
    assert threshold_for(np.zeros(50), np.append(np.zeros(41), [0.9] * 9), 0.9) == LEAST_THRESHOLD


def test_a_threshold_lies_above_all_but_a_few_of_the_clean_notes() -> None:
    tune, rng = made_up(2000), np.random.default_rng(1)
    clean = Logits(rng.standard_normal(1000) + 3, None)
    blend = fit_blend(Tuning(tune.y, tune.weights, Logits(tune.parts.wide, None), clean), 0.5)
    flagged = (blend.probability(clean) >= blend.threshold).mean()
    assert 0 < flagged <= MAX_CLEAN_FLAGGED + 1e-3

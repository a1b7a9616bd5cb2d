"""The churn graph against numbers worked out on paper, and against NumPy on anything else."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.bundle import Bundle
from models.churn.graph import HorizonModel
from models.churn.linear import CLIP, Linear
from models.churn.scorer import INPUT, OUTPUT
from models.runtime import OnnxRunner

Floats = npt.NDArray[np.float32]
Horizons = tuple[HorizonModel, HorizonModel]

FLOAT32 = st.floats(width=32, allow_nan=True, allow_infinity=True)


@pytest.fixture
def run(churn_bundle: Callable[..., Bundle]) -> Callable[..., Floats]:
    """Probabilities of rows, by the graph of some horizons."""

    def answer(rows: object, **changed: object) -> Floats:
        probability: Floats = OnnxRunner(churn_bundle(**changed)).run({INPUT: np.array(rows, np.float32)})[OUTPUT]
        return probability

    return answer


def test_a_probability_is_the_sigmoid_of_the_calibrated_blend(run: Callable[..., Floats]) -> None:
    # trees -1; linear ln 4 - ln 2 + 0.5; their mean twice, + 0.5: ln 2, of which the sigmoid is 2/3
    np.testing.assert_allclose(run([[3, 1]])[0], [2 / 3, 2 / (2 + np.e)], rtol=1e-6)


def test_a_missing_value_is_imputed_in_the_linear_part_and_routed_in_the_trees(run: Callable[..., Floats]) -> None:
    odds = 2 * np.exp(2)  # linear as if 3 days, but trees +1: ln 2 + 2
    np.testing.assert_allclose(run([[np.nan, 1]])[0, 0], odds / (1 + odds), rtol=1e-6)


def test_a_longer_horizon_never_has_the_higher_probability(run: Callable[..., Floats], horizons: Horizons) -> None:
    week, fortnight = horizons
    rows = [[day, n] for day in (0, 3, 4, 50) for n in (0, 1, 100)]
    held = run(rows, horizons=(week, replace(fortnight, intercept=2.0)))
    np.testing.assert_array_equal(held[:, 0], held[:, 1])


def test_standardised_values_are_clipped(run: Callable[..., Floats], horizons: Horizons) -> None:
    week, fortnight = horizons
    only_linear = replace(week, tree_weight=0.0, slope=1.0, intercept=0.0)
    probability = run([[np.inf, 0], [np.expm1(CLIP) + 5, 0]], horizons=(only_linear, fortnight))[:, 0]
    np.testing.assert_allclose(probability, 1 / (1 + np.exp(-(CLIP + 0.5))), rtol=1e-6)


def test_zero_rows_give_zero_answers(run: Callable[..., Floats]) -> None:
    assert run(np.empty((0, 2))).shape == (0, 2)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=arrays(np.float32, (4, 2), elements=FLOAT32))
def test_any_float_gives_what_numpy_gives_and_nothing_but_a_probability(
    run: Callable[..., Floats], horizons: Horizons, rows: Floats
) -> None:
    answer = run(rows)
    with np.errstate(over="ignore"):
        trees = np.where(rows[:, 0] <= 3, -1.0, 1.0)
        logits = [one.slope * (trees + one.linear.logit(rows)) / 2 + one.intercept for one in horizons]
    np.testing.assert_allclose(answer, 1 / (1 + np.exp(-np.stack(logits, axis=1))), rtol=1e-6, atol=1e-7)
    assert ((answer >= 0) & (answer <= 1)).all()


def test_a_linear_part_imputes_standardises_and_clips_in_that_order() -> None:
    linear = Linear(np.array([1.0]), np.array([0.5]), np.array([0.25]), np.zeros(1), np.array([2.0]), 1.0)
    rows = np.array([[np.nan], [-np.expm1(1.0)], [np.expm1(0.75)]], np.float32)
    np.testing.assert_allclose(linear.prepare(rows)[:, 0], [2.0, -CLIP, 1.0], rtol=1e-6)  # (1-.5)/.25, (-1-.5)/.25
    np.testing.assert_allclose(linear.logit(rows), [5.0, 1 - 2 * CLIP, 3.0], rtol=1e-6)

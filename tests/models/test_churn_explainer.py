"""Contributions: Shapley values by hand and by brute force, and sums that are the raw score."""

import sys
from itertools import combinations
from math import factorial
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest

from features.schema import KIND_CODES
from features.state import DAY_US, Event, UserState, UserStates
from models.bundle import Bundle
from models.churn.explainer import EXPLANATION, ChurnExplainer, Part, encode_parts
from models.churn.linear import Linear
from models.churn.scorer import ChurnScorer, ChurnStatus
from models.errors import BundleError, ExplainError
from training.churn.export import export_churn
from training.churn.recipe import ChurnModel

AS_OF = 20_000 * DAY_US
NO_LINEAR = Linear(np.zeros(2), np.zeros(2), np.ones(2), np.zeros(2), np.zeros(2), 0.0)


@pytest.fixture(scope="module")
def bundle(tiny_model: ChurnModel, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return export_churn(tiny_model, tmp_path_factory.mktemp("bundles"))


@pytest.fixture
def explainer(bundle: Bundle) -> ChurnExplainer:
    found = ChurnExplainer.of(bundle.files, horizon_days=(7, 30), n_features=15)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def two_splits() -> lgb.Booster:
    """One tree over 8 rows: the first feature parts 4 from 4, the second parts 2 from 2 among the larger."""
    rows = np.array([[0, 0], [0, 0], [0, 1], [0, 1], [1, 0], [1, 0], [1, 1], [1, 1]], np.float32)
    y = np.array([0, 0, 0, 0, 4, 4, 8, 8])
    options = {
        "objective": "regression", "boost_from_average": False, "learning_rate": 1.0, "num_leaves": 3,
        "min_child_samples": 1, "min_data_in_bin": 1, "verbose": -1,
    }  # fmt: skip
    return lgb.train(options, lgb.Dataset(rows, y), 1)


def given(node: dict[str, Any], row: np.ndarray, known: tuple[int, ...]) -> float:
    """A tree's expectation where only some features are known: elsewhere both ways, by the rows that went there."""
    if "leaf_value" in node:
        return float(node["leaf_value"])
    left, right = node["left_child"], node["right_child"]
    if node["split_feature"] in known:
        value = row[node["split_feature"]]
        to_left = node["default_left"] if np.isnan(value) and node["missing_type"] == "NaN" else (
            np.nan_to_num(value) <= node["threshold"]
        )  # fmt: skip
        return given(left if to_left else right, row, known)
    n_left, n_right = (child.get("internal_count", child.get("leaf_count")) for child in (left, right))
    return (n_left * given(left, row, known) + n_right * given(right, row, known)) / (n_left + n_right)


def shapley(tree: dict[str, Any], row: np.ndarray) -> list[float]:
    """The definition: the mean gain of knowing a feature over all orders of getting to know them."""
    n = len(row)
    values = []
    for one in range(n):
        others = [place for place in range(n) if place != one]
        gains = [
            factorial(size) * factorial(n - size - 1) / factorial(n)
            * (given(tree, row, (*known, one)) - given(tree, row, known))
            for size in range(n) for known in combinations(others, size)
        ]  # fmt: skip
        values.append(sum(gains))
    return values


def test_two_splits_worked_out_by_hand(two_splits: lgb.Booster) -> None:
    # mean 3. First: alone 6 or 0, last with the second feature 0: from 2 to 4, with 1: from 4 to 8. Half each.
    explainer = ChurnExplainer([Part(1.0, NO_LINEAR, two_splits.model_to_string())])
    found = explainer.contributions(np.array([[1, 0], [1, 1], [0, 0]], np.float32), 0)
    assert found.base == pytest.approx(3)
    np.testing.assert_allclose(found.of_features, [[2.5, -1.5], [3.5, 1.5], [-2.5, -0.5]], atol=1e-9)


def test_half_of_the_trees_counts_half_beside_a_linear_part(two_splits: lgb.Booster) -> None:
    # linear: 2 * (ln(1 + x0) - 0.5) around 0.25 + 2 * 0.5
    linear = Linear(np.zeros(2), np.zeros(2), np.ones(2), np.array([0.5, 0]), np.array([2.0, 0]), 0.25)
    found = ChurnExplainer([Part(0.5, linear, two_splits.model_to_string())]).contributions(
        np.array([[1, 0]], np.float32), 0
    )
    assert found.base == pytest.approx(0.5 * 3 + 0.5 * 1.25)
    np.testing.assert_allclose(found.of_features, [[0.5 * 2.5 + 0.5 * 2 * (np.log(2) - 0.5), 0.5 * -1.5]])


@pytest.mark.parametrize("seed", range(3))
def test_trees_agree_with_a_brute_force_over_all_subsets(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(60, 4)).astype(np.float32)
    rows[rng.random(rows.shape) < 0.2] = np.nan
    y = np.nan_to_num(rows[:, 0]) * np.nan_to_num(rows[:, 1]) + np.nan_to_num(rows[:, 2])
    options = {"num_leaves": 6, "min_child_samples": 3, "min_data_in_bin": 1, "verbose": -1, "seed": seed}
    booster = lgb.train(options, lgb.Dataset(rows, y), 3)
    linear = Linear(*[np.zeros(4)] * 2, np.ones(4), *[np.zeros(4)] * 2, 0.0)
    found = ChurnExplainer([Part(1.0, linear, booster.model_to_string())]).contributions(rows[:8], 0)
    trees = [one["tree_structure"] for one in booster.dump_model()["tree_info"]]
    expected = [np.sum([shapley(tree, row) for tree in trees], axis=0) for row in rows[:8]]
    np.testing.assert_allclose(found.of_features, expected, atol=1e-9)


@pytest.mark.parametrize("column", [0, 1])
def test_contributions_add_up_to_the_raw_score_missing_values_included(
    explainer: ChurnExplainer, tiny_model: ChurnModel, column: int
) -> None:
    rng = np.random.default_rng(column)
    rows = rng.choice(np.array([np.nan, 0, 0.5, 3, 20, 1e3, 1e9, np.inf], np.float32), (300, 15))
    fit = tiny_model.fits[column]
    trees = fit.booster.predict(rows, raw_score=True)
    raw = fit.choice.tree_weight * trees + (1 - fit.choice.tree_weight) * fit.linear.logit(rows)
    found = explainer.contributions(rows, column)
    np.testing.assert_allclose(found.base + found.of_features.sum(axis=1), raw, atol=1e-9)


def test_the_base_is_the_mean_over_the_fitted_rows(
    explainer: ChurnExplainer, tiny_model: ChurnModel, tiny_rows: np.ndarray
) -> None:
    fit = tiny_model.fits[0]
    found = explainer.contributions(tiny_rows, 0)
    assert fit.linear.expected == pytest.approx(fit.linear.logit(tiny_rows).mean())
    np.testing.assert_allclose((1 - 0.25) * fit.linear.contributions(tiny_rows).mean(axis=0), 0, atol=1e-9)
    assert np.isfinite(found.base)


def test_one_row_alone_gets_what_it_gets_in_a_crowd(explainer: ChurnExplainer, tiny_rows: np.ndarray) -> None:
    crowd = explainer.contributions(tiny_rows[:50], 1)
    alone = [explainer.contributions(tiny_rows[place : place + 1], 1) for place in range(50)]
    assert crowd.of_features.tobytes() == b"".join(one.of_features.tobytes() for one in alone)
    assert {one.base for one in alone} == {crowd.base}


def test_the_same_model_gives_the_same_bundle(tiny_model: ChurnModel, bundle: Bundle, tmp_path: Path) -> None:
    assert export_churn(tiny_model, tmp_path).digest == bundle.digest
    assert {EXPLANATION, "trees_7.txt", "trees_30.txt"} <= bundle.files.keys()


def test_only_users_active_lately_are_explained(bundle: Bundle) -> None:
    user = UserState().fold([Event(KIND_CODES["open"], AS_OF - 3 * DAY_US)]).encode()
    gone = UserState().fold([Event(KIND_CODES["open"], AS_OF - 61 * DAY_US)]).encode()
    states = UserStates.decode([UserState().encode(), user, gone])
    scorer = ChurnScorer(bundle)
    assert scorer.score(states, AS_OF).status == (
        ChurnStatus.COLD_START, ChurnStatus.SCORED, ChurnStatus.INACTIVE,
    )  # fmt: skip
    nobody, explained, inactive = scorer.explain(states, AS_OF, 1)
    assert nobody is inactive is None
    assert explained is not None
    contributions = [one.contribution for one in explained.reasons]
    assert explained.raw_score == pytest.approx(explained.base + sum(contributions), abs=1e-12)
    assert contributions == sorted(contributions, key=abs, reverse=True)


@pytest.mark.parametrize(
    "damage",
    [
        {"trees_30.txt": None},
        {EXPLANATION: b"{}"},
        {EXPLANATION: b"not json"},
        {EXPLANATION: b'{"7": {"linear": 1}}'},
        {EXPLANATION: encode_parts({7: Part(1.0, NO_LINEAR, ""), 30: Part(1.0, NO_LINEAR, "")})[EXPLANATION]},
    ],
)
def test_parts_that_do_not_fit_the_model_are_refused(bundle: Bundle, damage: dict[str, bytes | None]) -> None:
    files = {name: data for name, data in {**bundle.files, **damage}.items() if data is not None}
    with pytest.raises(BundleError, match=r"explanation\.json does not fit the model"):
        ChurnExplainer.of(files, horizon_days=(7, 30), n_features=15)


def test_a_bundle_from_before_explanations_still_scores(bundle: Bundle) -> None:
    files = {name: data for name, data in bundle.files.items() if name.startswith(("model", "golden"))}
    scorer = ChurnScorer(Bundle(bundle.digest, bundle.contract, files))
    states = UserStates.decode([UserState().fold([Event(0, AS_OF - DAY_US)]).encode()])
    assert np.isfinite(scorer.score(states, AS_OF).probability).all()
    with pytest.raises(ExplainError, match="released without"):
        scorer.explain(states, AS_OF, 0)


def test_without_lightgbm_the_error_names_the_extra(
    explainer: ChurnExplainer, tiny_rows: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(ExplainError, match="not installed"):
        explainer.contributions(tiny_rows, 0)


def test_trees_that_lightgbm_cannot_read_are_an_explain_error() -> None:
    with pytest.raises(ExplainError, match="does not read the trees"):
        ChurnExplainer([Part(1.0, NO_LINEAR, "tree\n")]).contributions(np.zeros((1, 2), np.float32), 0)


def test_trees_of_other_features_are_an_explain_error(two_splits: lgb.Booster) -> None:
    linear = Linear(np.zeros(3), np.zeros(3), np.ones(3), np.zeros(3), np.zeros(3), 0.0)
    with pytest.raises(ExplainError, match="of 2 features, expected 3"):
        ChurnExplainer([Part(1.0, linear, two_splits.model_to_string())]).contributions(np.zeros((1, 3), np.float32), 0)


def test_a_prediction_that_lightgbm_refuses_is_an_explain_error(two_splits: lgb.Booster) -> None:
    with pytest.raises(ExplainError, match="can't explain"):
        ChurnExplainer([Part(1.0, NO_LINEAR, two_splits.model_to_string())]).contributions(
            np.zeros((1, 3), np.float32), 0
        )

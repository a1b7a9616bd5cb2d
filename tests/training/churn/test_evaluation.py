"""What is said of a model: figures that add up, slices that leave nobody out, every feature weighed."""

import numpy as np
import pytest

from training.churn.config import Gates
from training.churn.evaluation import SLICES, Evaluation
from training.churn.recipe import ChurnTraining
from training.gates import Gate, gates_to_json


def test_every_horizon_is_judged_with_its_baselines_on_the_same_users(evaluation: Evaluation) -> None:
    assert [one.horizon_days for one in evaluation.horizons] == [7, 14]
    for one in evaluation.horizons:
        assert list(one.predictions) == list(one.qualities) == ["model", "recency", "logistic"]
        assert {len(p) for p in one.predictions.values()} == {len(one.y)}
        assert 0 < one.y.mean() < 1
    assert (evaluation.main.y <= evaluation.horizons[0].y).all()  # who is away for 14 days is away for 7


def test_the_baselines_rank_as_their_figures_say(training: ChurnTraining, evaluation: Evaluation) -> None:
    recency = evaluation.main.predictions["recency"]
    names = [feature.name for feature in training.model.features]
    days = training.test_rows.features[:, names.index("days_since_last_activity")]
    order = np.argsort(days, kind="stable")
    assert (np.diff(recency[order]) >= 0).all()  # the longer away, the likelier to stay away


@pytest.mark.parametrize("name", SLICES)
def test_the_groups_of_a_slice_hold_every_user_once(evaluation: Evaluation, name: str) -> None:
    groups = [one for one in evaluation.slices if one.slice == name]
    assert sum(one.n for one in groups) == len(evaluation.main.y)
    assert sum(one.n * one.base_rate for one in groups) == pytest.approx(evaluation.main.y.sum())


def test_every_feature_is_weighed(training: ChurnTraining, evaluation: Evaluation) -> None:
    names = [feature.name for feature in training.model.features]
    assert list(evaluation.importance) == list(evaluation.ablation) == names
    assert sum(evaluation.importance.values()) == pytest.approx(1)
    assert {"n_collect", "days_since_last_click"} <= set(names)  # three kinds: each has features of its own
    assert np.isfinite(list(evaluation.ablation.values())).all()


def test_the_gates_bound_the_worse_difference_the_main_calibration_and_parity(evaluation: Evaluation) -> None:
    gates = {gate.name: gate for gate in evaluation.gates(Gates(min_auc_difference=-0.01, max_ece=0.2), 1e-7)}
    assert gates["auc_difference"].value == min(one.mean for one in evaluation.differences.values())
    assert gates["ece"].value == evaluation.main.qualities["model"].ece
    assert (gates["auc_difference"].minimum, gates["ece"].maximum, gates["parity"].maximum) == (-0.01, 0.2, 1e-6)


def test_a_gate_is_passed_at_its_bound_and_failed_beyond_it() -> None:
    assert Gate("ece", 0.1, maximum=0.1).passed
    assert not Gate("ece", 0.1001, maximum=0.1).passed
    assert Gate("difference", -0.005, minimum=-0.005).passed
    assert not Gate("difference", -0.0051, minimum=-0.005).passed


def test_what_could_not_be_measured_fails_its_gate() -> None:
    unknown = Gate("ece", float("nan"), maximum=0.1)
    assert gates_to_json([Gate("parity", 0, maximum=1e-6), unknown]) == {
        "passed": False,
        "parity": {"value": 0, "maximum": 1e-6, "passed": True},
        "ece": {"value": None, "maximum": 0.1, "passed": False},
    }


def test_a_gate_says_what_it_measured_and_required() -> None:
    assert str(Gate("auc_difference", -0.01234, minimum=-0.005)) == "auc_difference -0.01234, required at least -0.005"

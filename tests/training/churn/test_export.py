"""The bundle decides what the trainer decides, and the parity gate would see if it did not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from models.bundle import GOLDEN, MODEL, Bundle, read_bundle, write_bundle
from models.churn.scorer import INPUT, OUTPUT, ChurnScorer
from models.runtime import OnnxRunner
from training.churn.config import Gates
from training.churn.evaluation import Evaluation, evaluate
from training.churn.export import PARITY, boundary_rows, export_churn, parity
from training.churn.fitting import fit_trees
from training.churn.recipe import ChurnModel, ChurnTraining


def tampered(bundle: Bundle, attribute: str, folder: Path, *, by: float) -> Bundle:
    """The bundle with every number of one attribute of the first tree ensemble moved."""
    model = onnx.load_from_string(bundle.files[MODEL])
    ensemble = next(node for node in model.graph.node if node.op_type == "TreeEnsemble")
    (numbers,) = (one for one in ensemble.attribute if one.name == attribute)
    numbers.t.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(numbers.t) + by))
    return write_bundle(folder, bundle.contract, {**bundle.files, MODEL: model.SerializeToString()})


def test_trainer_and_bundle_agree_on_held_out_and_boundary_rows(training: ChurnTraining, bundle: Bundle) -> None:
    assert parity(bundle, training.model, training.test_rows.features) <= PARITY


def test_minus_infinity_and_absurd_values_agree_too(training: ChurnTraining, bundle: Bundle) -> None:
    rows = np.array([-np.inf, -1e30, -1, -0.0, 1e-40, 1e30], np.float32)
    features = np.tile(rows[:, None], (1, len(training.model.features)))
    exported = OnnxRunner(bundle).run({INPUT: features})[OUTPUT]
    np.testing.assert_allclose(exported, training.model.predict(features), atol=PARITY)


@pytest.mark.parametrize(("attribute", "by"), [("leaf_weights", 1e-3), ("nodes_splits", 1e-5)])
def test_parity_sees_a_moved_leaf_and_a_moved_threshold(
    training: ChurnTraining, evaluation: Evaluation, bundle: Bundle, tmp_path: Path, attribute: str, by: float
) -> None:
    broken = tampered(bundle, attribute, tmp_path, by=by)
    off = parity(broken, training.model, training.test_rows.features)
    assert off > PARITY
    assert [gate.name for gate in evaluation.gates(Gates(), off) if not gate.passed] == ["parity"]


def test_a_few_held_out_rows_alone_do_not_see_a_moved_threshold(
    training: ChurnTraining, bundle: Bundle, tmp_path: Path
) -> None:
    rows = training.test_rows.features[:50]
    exported = OnnxRunner(tampered(bundle, "nodes_splits", tmp_path, by=1e-5)).run({INPUT: rows})[OUTPUT]
    assert np.abs(exported - training.model.predict(rows)).max() <= PARITY  # why there are boundary rows


def test_a_bundle_that_answers_nan_has_no_parity(
    training: ChurnTraining, evaluation: Evaluation, bundle: Bundle, tmp_path: Path
) -> None:
    off = parity(tampered(bundle, "leaf_weights", tmp_path, by=np.nan), training.model, training.test_rows.features)
    assert np.isnan(off)
    assert not all(gate.passed for gate in evaluation.gates(Gates(), off))


def test_boundary_rows_lie_on_and_beside_every_threshold(training: ChurnTraining) -> None:
    values = np.concatenate(list(boundary_rows(training.model, training.test_rows.features)))
    for fit in training.model.fits:
        for tree in fit.booster.dump_model()["tree_info"]:
            split = tree["tree_structure"]
            on, column = np.float32(split["threshold"]), values[:, split["split_feature"]]
            beside = {float(np.nextafter(on, np.float32(way))) for way in (-np.inf, np.inf)}
            assert {float(on), *beside} <= set(column.tolist())


def test_the_same_model_gives_the_same_bundle(training: ChurnTraining, bundle: Bundle, tmp_path: Path) -> None:
    assert export_churn(training.model, tmp_path).digest == bundle.digest


def test_the_exported_bundle_is_served_with_the_models_own_settings(
    training: ChurnTraining, bundle: Bundle, tmp_path: Path
) -> None:
    exported = export_churn(training.model, tmp_path)
    settings = ChurnScorer(read_bundle(tmp_path / exported.digest)).settings
    assert settings.features == tuple(feature.name for feature in training.model.features)
    assert (settings.horizon_days, settings.active_days) == ((7, 14), 21)
    assert settings.thresholds == tuple(fit.threshold for fit in training.model.fits)


def test_golden_examples_are_nobodys_features(training: ChurnTraining, bundle: Bundle) -> None:
    golden = bundle.golden.inputs[INPUT]
    users = np.concatenate([training.test_rows.features, *(rows.features for rows in training.train_rows)])
    assert len(golden) == 64
    assert not {row.tobytes() for row in golden} & {row.tobytes() for row in users}
    np.testing.assert_allclose(bundle.golden.outputs[OUTPUT], training.model.predict(golden), atol=1e-7)


def test_nothing_in_a_bundle_names_a_user(bundle: Bundle) -> None:
    assert not any(b"u00" in content for name, content in bundle.files.items() if name != GOLDEN)


def test_trees_that_never_split_can_be_exported(training: ChurnTraining, tmp_path: Path) -> None:
    rows, fortnight = training.test_rows, training.model.fits[-1]
    stumps = fit_trees(np.zeros_like(rows.features), rows.churned(14), n_trees=25, seed=1)
    cheap = replace(fortnight.choice, n_trees=1)  # for the ablation
    constant = replace(training.model, fits=(replace(fortnight, booster=stumps, choice=cheap),))
    assert parity(export_churn(constant, tmp_path), constant, rows.features) <= PARITY
    assert sum(evaluate(replace(training, model=constant), seed=1).importance.values()) == 0


def test_a_split_of_missing_from_known_values_is_exported(training: ChurnTraining, tmp_path: Path) -> None:
    rows, fortnight = training.test_rows, training.model.fits[-1]
    features = np.where(rows.churned(14)[:, None] == 1, np.nan, 0).astype(np.float32).repeat(rows.features.shape[1], 1)
    trees = fit_trees(features, rows.churned(14), n_trees=25, seed=1)  # their thresholds are infinite
    told = replace(training.model, fits=(replace(fortnight, booster=trees),))
    assert parity(export_churn(told, tmp_path), told, rows.features) <= PARITY


def test_a_drift_is_exported_with_the_intercept(training: ChurnTraining, tmp_path: Path) -> None:
    *_, fortnight = training.model.fits
    drifted = ChurnModel(training.model.features, (replace(fortnight, drift=0.75),), active_days=21)
    rows = training.test_rows.features
    assert parity(export_churn(drifted, tmp_path), drifted, rows) <= PARITY
    assert (drifted.predict(rows)[:, 0] > fortnight.predict(rows)).all()

"""A model is registered only if its bundle explains the raw scores that the trainer computes."""

from pathlib import Path

import numpy as np

from models.bundle import GOLDEN, MODEL, write_bundle
from models.churn.explainer import encode_parts
from training.churn.export import PARITY, export_churn, parity
from training.churn.recipe import ChurnModel


def test_parity_holds_for_what_was_exported(tiny_model: ChurnModel, tiny_rows: np.ndarray, tmp_path: Path) -> None:
    assert parity(export_churn(tiny_model, tmp_path), tiny_model, tiny_rows) < PARITY


def test_parity_fails_where_explanations_are_of_other_trees_or_missing(
    tiny_model: ChurnModel, tiny_rows: np.ndarray, tmp_path: Path
) -> None:
    bundle = export_churn(tiny_model, tmp_path)
    graph = {name: bundle.files[name] for name in (MODEL, GOLDEN)}
    week, month = (fit.explainable() for fit in tiny_model.fits)
    for parts in (encode_parts({7: month, 30: week}), {}):
        wrong = write_bundle(tmp_path, bundle.contract, graph | parts)
        assert parity(wrong, tiny_model, tiny_rows) > 1e-3

"""Writes a fitted churn model as a bundle, and proves that the bundle decides what the trainer decides."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from models.bundle import GOLDEN, MODEL, Bundle, Golden, write_bundle
from models.churn.explainer import ChurnExplainer, encode_parts
from models.churn.graph import churn_graph
from models.churn.scorer import INPUT, OUTPUT, ChurnSettings
from models.runtime import OnnxRunner
from training.churn.recipe import ChurnModel

Features = npt.NDArray[np.float32]

PARITY: Final = 1e-6
"""The largest difference between trainer and bundle that may pass, in probability and in explained raw score."""

_GOLDEN_VALUES: Final = (np.nan, 0.0, 0.5, 1.0, 2.0, 3.5, 7.0, 20.0, 45.0, 100.0, 1000.0)
_N_GOLDEN: Final = 64
_N_EXPLAINED: Final = 200


def export_churn(model: ChurnModel, folder: Path) -> Bundle:
    """Write the model below ``folder`` as a bundle; the same model gives the same digest."""
    settings = ChurnSettings(
        features=tuple(feature.name for feature in model.features),
        horizon_days=tuple(fit.horizon_days for fit in model.fits),
        active_days=model.active_days,
        thresholds=tuple(fit.threshold for fit in model.fits),
    )
    graph = churn_graph([fit.exportable() for fit in model.fits])
    files = {MODEL: graph.SerializeToString(), GOLDEN: _golden(model).encode()}
    parts = encode_parts({fit.horizon_days: fit.explainable() for fit in model.fits})
    return write_bundle(folder, settings.contract(), files | parts)


def parity(bundle: Bundle, model: ChurnModel, held_out: Features) -> float:
    """The largest difference between trainer and bundle, on held-out rows and on rows around every threshold.

    It is of probabilities, and on some held-out rows of the raw scores that the bundle's explanations add up to.
    """
    rows = np.concatenate([held_out, *boundary_rows(model, held_out)])
    exported = OnnxRunner(bundle).run({INPUT: rows})[OUTPUT]
    return max(
        float(np.abs(exported - model.predict(rows)).max()), _unexplained(bundle, model, held_out[:_N_EXPLAINED])
    )


def _unexplained(bundle: Bundle, model: ChurnModel, rows: Features) -> float:
    horizon_days = [fit.horizon_days for fit in model.fits]
    explainer = ChurnExplainer.of(bundle.files, horizon_days=horizon_days, n_features=len(model.features))
    if explainer is None:
        return np.inf
    found = [explainer.contributions(rows, column) for column in range(len(model.fits))]
    sums = np.array([one.base + one.of_features.sum(axis=1) for one in found])
    return float(np.abs(sums - [fit.raw_score(rows) for fit in model.fits]).max())


def boundary_rows(model: ChurnModel, held_out: Features) -> Iterator[Features]:
    """Held-out rows with one feature moved exactly on, just under and just over each of the trees' thresholds.

    Three more rows per feature hold its missing value and both infinities.
    """
    for column, thresholds in _thresholds(model).items():
        with np.errstate(over="ignore"):  # a threshold beyond float32 parts infinity from the rest
            on = np.array(sorted(thresholds)).astype(np.float32)
            edges = [np.nextafter(on, np.float32(-np.inf)), on, np.nextafter(on, np.float32(np.inf))]
        values = np.concatenate([*edges, np.array([np.nan, np.inf, -np.inf], np.float32)])
        rows = held_out[np.arange(len(values)) % len(held_out)].copy()
        rows[:, column] = values
        yield rows


def _thresholds(model: ChurnModel) -> dict[int, set[float]]:
    found: dict[int, set[float]] = {}
    for fit in model.fits:
        splits = fit.booster.trees_to_dataframe().dropna(subset=["threshold"])
        names = fit.booster.feature_name()
        for feature, threshold in zip(splits["split_feature"], splits["threshold"], strict=True):
            found.setdefault(names.index(feature), set()).add(float(threshold))
    return found


def _golden(model: ChurnModel) -> Golden:
    """Made-up feature vectors, never a user's, with the trainer's own answers."""
    rng = np.random.default_rng(0)
    features = rng.choice(np.array(_GOLDEN_VALUES, np.float32), (_N_GOLDEN, len(model.features)))
    return Golden({INPUT: features}, {OUTPUT: model.predict(features).astype(np.float32)})

"""A churn model that was really trained, small enough to be made anew in each test session."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from features.user import CHURN_FEATURES, KIND_FEATURES
from models.bundle import Bundle
from training.churn import ChurnModel
from training.export import export_churn
from training.fitting import Choice, HorizonFit, fit_linear, fit_trees

TINY_FEATURES = (*CHURN_FEATURES, *KIND_FEATURES["collect"], *KIND_FEATURES["purchase"])


@pytest.fixture(scope="session")
def tiny_rows() -> np.ndarray:
    """600 made-up feature vectors, one value in ten missing."""
    rng = np.random.default_rng(5)
    rows = rng.gamma(1.0, 20.0, (600, len(TINY_FEATURES))).astype(np.float32)
    rows[rng.random(rows.shape) < 0.1] = np.nan
    return rows


@pytest.fixture(scope="session")
def tiny_model(tiny_rows: np.ndarray) -> ChurnModel:
    """Horizons of 7 and 30 days over the core features and two kinds', each with trees, a linear part and a drift."""
    known = np.nan_to_num(tiny_rows, nan=20.0)
    rng = np.random.default_rng(6)
    fits = []
    for horizon_days, weight in ((7, 0.25), (30, 0.75)):
        z = (known[:, 0] - 2 * known[:, 4] + known[:, 11]) / 20 + 20 / horizon_days
        y = (rng.random(len(z)) < 1 / (1 + np.exp(-z))).astype(np.float64)
        choice = Choice(n_trees=20, inverse_penalty=0.3, tree_weight=weight, slope=1.3, intercept=-0.2)
        linear, recency = fit_linear(tiny_rows, y, 0.3), fit_linear(tiny_rows[:, :1], y, 0.3)
        fits.append(HorizonFit(horizon_days, choice, 0.1, fit_trees(tiny_rows, y, 20, 7), linear, recency, 0.5))
    return ChurnModel(TINY_FEATURES, tuple(fits), active_days=60)


@pytest.fixture(scope="session")
def tiny_release(tiny_model: ChurnModel) -> Callable[[Path], Bundle]:
    """Writes the model below a folder as the trainer does."""
    return lambda folder: export_churn(tiny_model, folder)

"""A churn model small enough to work out on paper, and what its bundle is made of."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.bundle import GOLDEN, MODEL, Bundle, Golden
from models.churn.graph import HorizonModel, churn_graph
from models.churn.linear import Linear
from models.churn.scorer import INPUT, OUTPUT, ChurnSettings

LN2 = float(np.log(2))

SETTINGS = ChurnSettings(
    features=("days_since_last_activity", "n_events"), horizon_days=(7, 14), active_days=10, thresholds=(0.5, 0.5)
)
STUMP = {
    "num_tree_per_iteration": 1, "average_output": False, "max_feature_idx": 1,
    "tree_info": [{"tree_structure": {
        "split_feature": 0, "threshold": 3.0, "decision_type": "<=", "missing_type": "NaN", "default_left": False,
        "left_child": {"leaf_value": -1.0}, "right_child": {"leaf_value": 1.0},
    }}],
}  # fmt: skip
"""-1 for at most three days, 1 for more and for a user who was never active."""

LINEAR = Linear(
    fill=np.array([2 * LN2, 0.0]),
    centre=np.zeros(2),
    scale=np.ones(2),
    mean=np.zeros(2),
    coefficients=np.array([1.0, -1.0]),
    intercept=0.5,
)
"""ln(1 + days) - ln(1 + events) + 0.5, a missing number of days standing for 3."""


@pytest.fixture
def settings() -> ChurnSettings:
    """Two features, horizons of 7 and 14 days, users active within 10."""
    return SETTINGS


@pytest.fixture
def horizons() -> tuple[HorizonModel, HorizonModel]:
    """Twice the mean of stump and linear model, shifted by 0.5 for 7 days and by -0.5 for 14."""
    week = HorizonModel(STUMP, LINEAR, tree_weight=0.5, slope=2.0, intercept=0.5)
    return week, replace(week, intercept=-0.5)


@pytest.fixture
def golden() -> Golden:
    """One vector, worked out: logit (ln 4 - ln 2 + 0.5) - 1 + 0.5 = ln 2 for 7 days, one less for 14."""
    answers = [2 / 3, 2 / (2 + np.e)]
    return Golden({INPUT: np.array([[3, 1]], np.float32)}, {OUTPUT: np.array([answers], np.float32)})


@pytest.fixture
def churn_bundle(settings: ChurnSettings, horizons: tuple[HorizonModel, ...], golden: Golden) -> Callable[..., Bundle]:
    """The bundle, with settings, horizons or golden examples of one's own."""

    def make(**changed: Any) -> Bundle:
        graph = churn_graph(changed.get("horizons", horizons)).SerializeToString()
        files = {MODEL: graph, GOLDEN: changed.get("golden", golden).encode()}
        return Bundle("0" * 64, changed.get("contract", settings.contract()), files)

    return make

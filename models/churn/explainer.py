"""Why a raw score is what it is: exact Shapley values of a churn model's parts.

The one door to LightGBM in what serves: it comes with the optional extra ``explain`` and is loaded at first use.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import numpy.typing as npt

from models.bundle import canonical_json
from models.churn.linear import Floats, Linear
from models.errors import BundleError, ExplainError

if TYPE_CHECKING:
    from lightgbm import Booster

EXPLANATION: Final = "explanation.json"


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What one horizon's raw score is blended of; ``trees`` is LightGBM's text model."""

    tree_weight: float
    linear: Linear
    trees: str


def encode_parts(parts: Mapping[int, Part]) -> dict[str, bytes]:
    """The files of a bundle that hold the parts, by horizon in days; equal parts give equal bytes."""
    blends = {
        str(days): {"tree_weight": part.tree_weight, "linear": _encode_linear(part.linear)}
        for days, part in parts.items()
    }
    trees = {_trees_file(days): part.trees.encode() for days, part in parts.items()}
    return {EXPLANATION: canonical_json(blends), **trees}


@dataclass(frozen=True, slots=True, eq=False)
class Contributions:
    """Raw score of each row = ``base`` + the sum of its contributions, float64 of shape (n, n_features)."""

    base: float
    of_features: Floats


class ChurnExplainer:
    """Explains the raw scores of a model whose bundle holds its parts; for one thread at a time.

    LightGBM does not promise that contributions may be computed by several threads (its issues 5482 and 6142).
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._boosters: dict[int, Booster] = {}

    @classmethod
    def of(cls, files: Mapping[str, bytes], *, horizon_days: Sequence[int], n_features: int) -> Self | None:
        """The explainer of the parts among a bundle's files, None where there are none; BundleError for unfit ones."""
        if EXPLANATION not in files:
            return None
        try:
            blends = json.loads(files[EXPLANATION])
            return cls([_decode_part(blends[str(days)], files[_trees_file(days)], n_features) for days in horizon_days])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise BundleError(f"{EXPLANATION} does not fit the model: {error!r}") from error

    def contributions(self, features: npt.NDArray[np.float32], column: int) -> Contributions:
        """Per feature, what it adds to one horizon's raw score, in logits before calibration.

        Trees: TreeSHAP with the trees' own covers as background (Lundberg et al. 2020); linear: coefficient times
        distance from the mean. Shapley values of a weighted sum are the weighted sums of its parts'.
        ExplainError where LightGBM is not installed or does not read the trees.
        """
        part = self._parts[column]
        shap = _shapley(self._booster(column), features)
        trees, weight = shap[:, :-1], part.tree_weight
        base = weight * float(shap[0, -1]) + (1 - weight) * part.linear.expected
        return Contributions(base, weight * trees + (1 - weight) * part.linear.contributions(features))

    def _booster(self, column: int) -> "Booster":
        if column not in self._boosters:
            part = self._parts[column]
            self._boosters[column] = _load(part.trees, n_features=len(part.linear.coefficients))
        return self._boosters[column]


def _load(trees: str, *, n_features: int) -> "Booster":
    try:
        import lightgbm
    except (ImportError, OSError) as error:  # OSError: LightGBM is there, but the system's libgomp is not
        raise ExplainError("LightGBM is not installed (extra: explain)") from error
    try:
        booster = lightgbm.Booster(model_str=trees)
    except lightgbm.basic.LightGBMError as error:
        raise ExplainError(f"LightGBM does not read the trees: {error}") from error
    if booster.num_feature() != n_features:
        raise ExplainError(f"the trees are of {booster.num_feature()} features, expected {n_features}")
    return booster


def _shapley(booster: "Booster", features: npt.NDArray[np.float32]) -> Floats:
    """Of shape (n, n_features + 1); the last column is the base."""
    from lightgbm.basic import LightGBMError

    try:
        return np.asarray(booster.predict(features, pred_contrib=True, num_threads=1), np.float64)
    except LightGBMError as error:
        raise ExplainError(f"LightGBM can't explain with the trees: {error}") from error


def _trees_file(horizon_days: int) -> str:
    return f"trees_{horizon_days}.txt"


def _encode_linear(linear: Linear) -> dict[str, Any]:
    values = {one.name: getattr(linear, one.name) for one in fields(Linear)}
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in values.items()}


def _decode_part(blend: Mapping[str, Any], trees: bytes, n_features: int) -> Part:
    arrays = {name: np.array(value, np.float64) for name, value in blend["linear"].items()}
    intercept = float(arrays.pop("intercept"))
    if shapes := {array.shape for array in arrays.values()} - {(n_features,)}:
        raise ValueError(f"arrays of shape {shapes}, expected ({n_features},)")
    return Part(float(blend["tree_weight"]), Linear(**arrays, intercept=intercept), trees.decode())

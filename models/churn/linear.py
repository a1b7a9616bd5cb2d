"""The linear part of a churn model, in NumPy alone: what is fitted, written into the graph and explained."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

CLIP: Final = 4.0
"""Standardised features are held within this many standard deviations."""


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """A logistic regression over sign(x) * log(1 + |x|), missing values imputed, standardised and clipped.

    Arrays have shape (n_features,); ``fill`` and ``centre`` are in the transformed scale. ``mean`` is that of the
    prepared features over the rows of the fit: not quite 0, since they are clipped.
    """

    fill: Floats
    centre: Floats
    scale: Floats
    mean: Floats
    coefficients: Floats
    intercept: float

    def prepare(self, features: npt.NDArray[np.floating[Any]]) -> Floats:
        """The standardised features, float64, shape (n, n_features)."""
        x = features.astype(np.float64)
        x = np.sign(x) * np.log1p(np.abs(x))
        x = (np.where(np.isnan(x), self.fill, x) - self.centre) / self.scale
        return np.asarray(np.clip(x, -CLIP, CLIP))

    def logit(self, features: npt.NDArray[np.floating[Any]]) -> Floats:
        """The log-odds, shape (n,)."""
        return np.asarray(self.prepare(features) @ self.coefficients + self.intercept)

    @property
    def expected(self) -> float:
        """The mean log-odds over the rows of the fit."""
        return float(self.mean @ self.coefficients + self.intercept)

    def contributions(self, features: npt.NDArray[np.floating[Any]]) -> Floats:
        """What each feature adds to ``expected``, shape (n, n_features): the Shapley values of independent features."""
        return np.asarray((self.prepare(features) - self.mean) * self.coefficients)

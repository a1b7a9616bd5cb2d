"""How both parts become one calibrated probability, and from where on it is a flag: by the notes to tune on."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

Floats = npt.NDArray[np.float64]

DEEP_WEIGHT: Final = 0.7
"""What the deep part weighs where there is little to go by."""
PRIOR_STRENGTH: Final = 10.0
"""What it costs, in nats of likelihood, to weigh it by 1 more or less; a few hundred notes outweigh this."""
_WEIGHTS: Final = np.linspace(0, 1, 21)
MIN_FLAGGED: Final = 10
"""Flagged notes to tune on that a threshold's precision is read from."""
NO_THRESHOLD: Final = 1.0
LEAST_THRESHOLD: Final = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Tuning:
    """One column of the notes to tune on: what reviewers said (0 or 1), what each note counts, and both parts' logits.

    Each of shape (n,); ``deep`` is None of a model without a tower.
    """

    y: Floats
    weights: Floats
    wide: Floats
    deep: Floats | None


@dataclass(frozen=True, slots=True)
class ColumnBlend:
    """One column's blend, as ``Blend`` has them side by side, and the probability from which on it is flagged."""

    deep_weight: float
    deep_spread: float
    wide_spread: float
    slope: float
    intercept: float
    threshold: float


def fit_blend(tune: Tuning, precision: float) -> ColumnBlend:
    """The weight and the calibration under which the notes to tune on are likeliest, and the threshold."""
    wide_spread, deep_spread = _spread(tune.wide), 1.0 if tune.deep is None else _spread(tune.deep)
    wide = tune.wide / wide_spread
    deep = wide if tune.deep is None else tune.deep / deep_spread
    trials = []
    for weight in _WEIGHTS.tolist() if tune.deep is not None else [0.0]:
        blended = weight * deep + (1 - weight) * wide
        slope, intercept, loss = _calibrated(tune, blended)
        trials.append((loss + PRIOR_STRENGTH * (weight - DEEP_WEIGHT) ** 2, weight, slope, intercept))
    _, weight, slope, intercept = min(trials)
    p = 1 / (1 + np.exp(-(slope * (weight * deep + (1 - weight) * wide) + intercept)))
    threshold = threshold_for(tune.y, p, precision)
    return ColumnBlend(weight, deep_spread, wide_spread, slope, intercept, threshold)


def _spread(logit: Floats) -> float:
    return float(logit.std()) or 1.0


def _calibrated(tune: Tuning, logit: Floats) -> tuple[float, float, float]:
    """Slope, intercept (Platt 1999) and the loss they leave, in nats over all notes."""
    model = LogisticRegression(C=10.0).fit(logit[:, None], tune.y, sample_weight=tune.weights)
    slope, intercept = max(float(model.coef_[0, 0]), 1e-3), float(model.intercept_[0])
    signed = np.where(tune.y == 1, 1, -1) * (slope * logit + intercept)
    return slope, intercept, float((tune.weights * np.logaddexp(0, -signed)).sum())


def threshold_for(y: Floats, p: Floats, precision: float) -> float:
    """The lowest probability from which on that share of the flagged notes has the label; 1 where there is none.

    Never below one half, whatever share of the notes has the label: a flag says that it is likelier than not. One half
    too where so few notes reach it that their share tells nothing.
    """
    if (p >= LEAST_THRESHOLD).sum() < MIN_FLAGGED:
        return LEAST_THRESHOLD
    order = np.argsort(-p, kind="stable")
    n_flagged = np.arange(1, len(p) + 1)
    reached = np.cumsum(y[order]) / n_flagged >= precision
    last_of_a_tie = np.append(np.diff(p[order]) != 0, True)
    good = np.flatnonzero(reached & last_of_a_tie & (n_flagged >= MIN_FLAGGED))
    return max(float(p[order][good[-1]]), LEAST_THRESHOLD) if len(good) else NO_THRESHOLD

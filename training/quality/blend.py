"""How both parts become one calibrated probability, and from where on it is a flag: by the notes to tune on."""

from dataclasses import dataclass, replace
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
MAX_CLEAN_FLAGGED: Final = 0.003
"""Share of clean notes that a threshold may flag for one harm."""


@dataclass(frozen=True, slots=True, eq=False)
class Logits:
    """What both parts say of notes, for one column (n,) or several (n, K); ``deep`` is None without a tower."""

    wide: Floats
    deep: Floats | None

    def of(self, column: int, rows: npt.NDArray[np.bool_] | slice = slice(None)) -> "Logits":
        """One column's, of some of the notes."""
        return Logits(self.wide[rows, column], None if self.deep is None else self.deep[rows, column])


@dataclass(frozen=True, slots=True, eq=False)
class Tuning:
    """One column of the notes to tune on: what reviewers said (0 or 1), what each note counts, and both parts' logits.

    Arrays are (n,). ``clean`` are the logits of notes that nothing is wrong with, where the column is a harm.
    """

    y: Floats
    weights: Floats
    parts: Logits
    clean: Logits | None = None


@dataclass(frozen=True, slots=True)
class ColumnBlend:
    """One column's blend, as ``Blend`` has them side by side, and the probability from which on it is flagged."""

    deep_weight: float
    deep_spread: float
    wide_spread: float
    slope: float
    intercept: float
    threshold: float

    def blended(self, parts: Logits) -> Floats:
        """The logits before calibration."""
        wide = (1 - self.deep_weight) * parts.wide / self.wide_spread
        return wide if parts.deep is None else wide + self.deep_weight * parts.deep / self.deep_spread

    def probability(self, parts: Logits) -> Floats:
        """The calibrated probabilities."""
        return np.asarray(1 / (1 + np.exp(-(self.slope * self.blended(parts) + self.intercept))))


def fit_blend(tune: Tuning, precision: float) -> ColumnBlend:
    """The weight and the calibration under which the notes to tune on are likeliest, and the threshold."""
    deep = tune.parts.deep
    spreads = 1.0 if deep is None else _spread(deep), _spread(tune.parts.wide)
    trials = []
    for weight in _WEIGHTS.tolist() if deep is not None else [0.0]:
        raw = ColumnBlend(weight, *spreads, slope=1.0, intercept=0.0, threshold=NO_THRESHOLD)
        slope, intercept, loss = _calibrated(tune, raw.blended(tune.parts))
        trials.append((loss + PRIOR_STRENGTH * (weight - DEEP_WEIGHT) ** 2, weight, slope, intercept))
    _, weight, slope, intercept = min(trials)
    blend = ColumnBlend(weight, *spreads, slope, intercept, threshold=NO_THRESHOLD)
    threshold = threshold_for(tune.y, blend.probability(tune.parts), precision)
    if tune.clean and len(tune.clean.wide):
        threshold = max(threshold, float(np.quantile(blend.probability(tune.clean), 1 - MAX_CLEAN_FLAGGED)))
    return replace(blend, threshold=threshold)


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

"""How well probabilities rank and how true they are, with intervals over resampled users.

Everywhere ``y`` is 1 for churned and 0 for returned, shape (n,), and ``p`` the predicted churn probability.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score

Floats: TypeAlias = npt.NDArray[np.float64]

N_BINS: Final = 10
N_RESAMPLES: Final = 400
INTERVAL: Final = (2.5, 97.5)
_BLOCK: Final = 2_000_000
"""Weights held at a time while resampling: 16 MB."""


@dataclass(frozen=True, slots=True)
class Quality:
    """One predictor's figures on one test set; ``auc_low`` and ``auc_high`` bound a 95% interval over users."""

    auc: float
    auc_low: float
    auc_high: float
    pr_auc: float
    brier: float
    ece: float
    lift_at_10: float

    def to_json(self) -> dict[str, float]:
        """The figures by name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Difference:
    """A paired difference (ours minus theirs), averaged over test instants, with a 95% interval over users."""

    mean: float
    low: float
    high: float
    n_instants: int


def auc(y: Floats, p: Floats, weights: Floats | None = None) -> Floats:
    """The area under the ROC curve, ties counting half; NaN where one class is absent.

    ``weights`` of shape (n_resamples, n) gives one area per row; without them the shape is (1,).
    """
    order = np.argsort(p, kind="stable")
    y, p = y[order], p[order]
    weights = np.ones((1, len(y))) if weights is None else weights[:, order]
    starts = np.flatnonzero(np.diff(p, prepend=-np.inf))
    churned = np.add.reduceat(weights * y, starts, axis=1)
    returned = np.add.reduceat(weights * (1 - y), starts, axis=1)
    below = np.cumsum(returned, axis=1) - returned / 2
    with np.errstate(invalid="ignore"):
        return np.asarray((churned * below).sum(axis=1) / (churned.sum(axis=1) * returned.sum(axis=1)))


def ece(y: Floats, p: Floats) -> float:
    """Expected calibration error over ten bins of equal width (Guo et al. 2017, eq. 5)."""
    bins = np.minimum((p * N_BINS).astype(np.int64), N_BINS - 1)
    gaps = np.bincount(bins, p - y, N_BINS)
    return float(np.abs(gaps).sum() / len(y))


def ece_by_chance(p: Floats, rng: np.random.Generator) -> float:
    """The calibration error that perfect probabilities stay below 19 times in 20, on as few users as these."""
    draws = [(rng.random(len(p)) < p).astype(np.float64) for _ in range(N_RESAMPLES)]
    return float(np.quantile([ece(y, p) for y in draws], 0.95))


def lift_at(y: Floats, p: Floats, share: float = 0.1) -> float:
    """How many times the base rate churn is among the ``share`` with the highest probability (ties by place)."""
    n = max(1, round(len(y) * share))
    top = np.argsort(-p, kind="stable")[:n]
    return float(y[top].mean() / y.mean()) if y.any() else float("nan")


def judge(y: Floats, p: Floats, rng: np.random.Generator) -> Quality:
    """All figures of one predictor on one test set."""
    low, high = _interval(bootstrap(len(y), rng, lambda weights: auc(y, p, weights)))
    return Quality(
        auc=float(auc(y, p)[0]),
        auc_low=low,
        auc_high=high,
        pr_auc=float(average_precision_score(y, p)) if y.any() else float("nan"),
        brier=float(np.mean((p - y) ** 2)),
        ece=ece(y, p),
        lift_at_10=lift_at(y, p),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """Two predictors on one test instant: who the users are (a number each), what they did, what each foretold."""

    users: npt.NDArray[np.int64]
    y: Floats
    ours: Floats
    theirs: Floats


def paired_auc_difference(trials: Sequence[Trial], rng: np.random.Generator) -> Difference:
    """AUC of ours minus theirs, averaged over the instants; users are resampled whole, with all their instants."""
    known, places = np.unique(np.concatenate([trial.users for trial in trials]), return_inverse=True)
    ends = np.cumsum([len(trial.users) for trial in trials])
    placed = list(zip(trials, np.split(places, ends[:-1]), strict=True))

    def difference(weights: Floats) -> Floats:
        per_trial = [_difference(trial, weights[:, users]) for trial, users in placed]
        return np.asarray(np.mean(per_trial, axis=0))

    low, high = _interval(bootstrap(len(known), rng, difference))
    return Difference(float(difference(np.ones((1, len(known))))[0]), low, high, len(trials))


def _difference(trial: Trial, weights: Floats) -> Floats:
    return auc(trial.y, trial.ours, weights) - auc(trial.y, trial.theirs, weights)


def bootstrap(n: int, rng: np.random.Generator, statistic: Callable[[Floats], Floats]) -> Floats:
    """``statistic`` of N_RESAMPLES resamples of ``n``; it takes weights, how often each is drawn, in rows."""
    share = np.full(n, 1 / n)
    block = max(1, _BLOCK // n)
    sizes = [min(block, N_RESAMPLES - start) for start in range(0, N_RESAMPLES, block)]
    return np.concatenate([statistic(rng.multinomial(n, share, size=size).astype(np.float64)) for size in sizes])


def _interval(values: Floats) -> tuple[float, float]:
    """The bounds of what could be measured; NaN where nothing could."""
    known = values[np.isfinite(values)]
    low, high = np.percentile(known, INTERVAL) if len(known) else (np.nan, np.nan)
    return float(low), float(high)

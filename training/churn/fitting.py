"""Fits one horizon's churn model: small trees and a logistic regression, tuned on later instants of other users.

Measured on several logs (docs/churn.md): trees of four leaves beat larger ones, a linear part steadies them where the
log is small or holds one kind of event, and both are chosen by how well they do on rows that are later *and* of other
users than those they were fitted on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from features.errors import DataError
from models.churn.explainer import Part
from models.churn.graph import HorizonModel
from models.churn.linear import Linear
from training.churn.instants import is_closed, short_horizon
from training.churn.rows import Rows, Table, fold_of

Floats = npt.NDArray[np.float64]
Features = npt.NDArray[np.float32]

N_FOLDS: Final = 3
LATE_SHARE: Final = 1 / 3
MIN_OF_EACH: Final = 30
"""Fewest churned and fewest returned rows that a horizon is fitted on."""

_UNPENALISED: Final = 1e4
_SOLVER: Final = "newton-cholesky"
_DRIFT_SHARE: Final = 0.5
"""All of the shift suits a log with a trend, none of it a steady one; half is never far off (docs/churn.md)."""

_MAX_DRIFT: Final = 1.0
_MIN_EARLY: Final = 500
_MIN_SLOPE: Final = 0.05
_BOOSTING: Final = {
    "objective": "binary", "learning_rate": 0.03, "num_leaves": 4, "min_child_samples": 50, "reg_lambda": 10,
    "feature_fraction": 0.3, "bagging_fraction": 0.5, "bagging_freq": 1, "deterministic": True,
    "force_row_wise": True, "num_threads": 1, "verbose": -1,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Choice:
    """What tuning chose: trees, inverse L2 penalty (C), the trees' weight in the blend, and Platt's two numbers."""

    n_trees: int
    inverse_penalty: float
    tree_weight: float
    slope: float
    intercept: float


@dataclass(frozen=True, slots=True)
class Grid:
    """What tuning chooses from."""

    n_trees: Sequence[int] = (25, 50, 75, 100, 150, 200, 250, 300)
    inverse_penalties: Sequence[float] = (0.003, 0.03, 0.3)
    tree_weights: Sequence[float] = (0.25, 0.5, 0.75)

    @classmethod
    def only(cls, choice: Choice) -> Self:
        """No choice but this one."""
        return cls([choice.n_trees], [choice.inverse_penalty], [choice.tree_weight])


@dataclass(frozen=True, slots=True, eq=False)
class HorizonFit:
    """One horizon's fitted parts.

    ``drift`` is the part of the intercept owed to a moving rate, in logits; ``recency`` a logistic regression on the
    first feature alone, for comparison; ``threshold`` the probability that marks the riskiest tenth of tuning rows.
    """

    horizon_days: int
    choice: Choice
    drift: float
    booster: lgb.Booster
    linear: Linear
    recency: Linear
    threshold: float

    def predict(self, features: Features) -> Floats:
        """Churn probability by LightGBM and NumPy: what the exported graph must reproduce; shape (n,)."""
        return calibrated(self.raw_score(features), self.choice, self.drift)

    def raw_score(self, features: Features) -> Floats:
        """The blended logit before calibration: what explanations add up to; shape (n,)."""
        trees = np.asarray(self.booster.predict(features, raw_score=True), np.float64)
        return blend(trees, self.linear.logit(features), self.choice.tree_weight)

    def predict_baseline(self, name: str, features: Features) -> Floats:
        """What a baseline fitted on the same rows foretells: ``recency`` alone, or ``logistic`` over all features."""
        linear, x = (self.linear, features) if name == "logistic" else (self.recency, features[:, :1])
        return np.asarray(expit(linear.logit(x)))

    def exportable(self) -> HorizonModel:
        """The parts as the graph writer takes them."""
        choice = self.choice
        dump = self.booster.dump_model()
        return HorizonModel(dump, self.linear, choice.tree_weight, choice.slope, choice.intercept + self.drift)

    def explainable(self) -> Part:
        """The parts of the raw score as the explainer takes them."""
        return Part(self.choice.tree_weight, self.linear, self.booster.model_to_string())


def fit_horizon(rows: Sequence[Rows], horizon_days: int, *, test: int, seed: int) -> HorizonFit:
    """Fit on the rows (in time order) whose windows close by ``test``; DataError where too few churned or returned."""
    usable = [one for one in rows if is_closed(one.as_of, horizon_days, by=test)]
    table = Table.of(usable, horizon_days, late_share=LATE_SHARE)
    _require_both_classes(table.y, horizon_days)
    tuning = tune(table, seed)
    choice = tuning.choice
    drift = rate_drift(rows, horizon_days, test=test, inverse_penalty=choice.inverse_penalty)
    return HorizonFit(
        horizon_days,
        choice,
        drift,
        booster=fit_trees(table.features, table.y, choice.n_trees, seed),
        linear=fit_linear(table.features, table.y, choice.inverse_penalty),
        recency=fit_linear(table.features[:, :1], table.y, _UNPENALISED),
        threshold=float(np.quantile(calibrated(tuning.logit, choice, drift), 0.9)),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Tuning:
    """What tuning chose, and the blended logit of each tuning row with its outcome; shape (n,)."""

    choice: Choice
    logit: Floats
    y: Floats


def tune(table: Table, seed: int, grid: Grid = Grid()) -> Tuning:
    """Choose by calibrated log-loss on late rows of users who were not fitted on; fits use early rows.

    DataError where too few users churned or returned for that.
    """
    early, fold = ~table.late, fold_of(table.users, N_FOLDS)
    if early.sum() < _MIN_EARLY or not _each_fold_can_be_left_out(table.y[early], fold[early]):
        early = np.ones_like(early)
    if not (_both_occur(table.y[table.late]) and _each_fold_can_be_left_out(table.y[early], fold[early])):
        raise DataError("too few users churned, or too few returned, to tune on others than those fitted on")
    trees, linear, y = [], [], []
    for one in range(N_FOLDS):
        fitted, judged = (fold != one) & early, (fold == one) & table.late
        x, x_judged = table.features[fitted], table.features[judged]
        booster = fit_trees(x, table.y[fitted], max(grid.n_trees), seed)
        trees.append([booster.predict(x_judged, raw_score=True, num_iteration=n, num_threads=1) for n in grid.n_trees])
        linear.append([fit_linear(x, table.y[fitted], c).logit(x_judged) for c in grid.inverse_penalties])
        y.append(table.y[judged])
    return _choose(grid, np.concatenate(trees, axis=1), np.concatenate(linear, axis=1), np.concatenate(y))


def _choose(grid: Grid, trees: Floats, linear: Floats, y: Floats) -> Tuning:
    n = _least_loss(trees, y)
    c = _least_loss(linear, y)
    blends = [blend(trees[n], linear[c], weight) for weight in grid.tree_weights]
    w = _least_loss(blends, y)
    slope, intercept = platt(blends[w], y)
    choice = Choice(grid.n_trees[n], grid.inverse_penalties[c], grid.tree_weights[w], slope, intercept)
    return Tuning(choice, blends[w], y)


def fit_trees(features: Features, y: Floats, n_trees: int, seed: int) -> lgb.Booster:
    """A booster of small trees; the same rows and seed give the same trees."""
    return lgb.train({**_BOOSTING, "seed": seed}, lgb.Dataset(features, y), n_trees)


def fit_linear(features: Features, y: Floats, inverse_penalty: float) -> Linear:
    """A logistic regression on prepared features; a feature without a value or without spread adds nothing."""
    x = features.astype(np.float64)
    x = np.sign(x) * np.log1p(np.abs(x))
    known = ~np.isnan(x).all(axis=0)
    fill = np.zeros(x.shape[1])
    fill[known] = np.nanmedian(x[:, known], axis=0)
    x = np.where(np.isnan(x), fill, x)
    spread = x.std(axis=0)
    nothing = np.zeros(x.shape[1])
    unfitted = Linear(fill, x.mean(axis=0), np.where(spread < 1e-6, 1.0, spread), nothing, nothing, 0.0)
    prepared = unfitted.prepare(features)
    model = LogisticRegression(C=inverse_penalty, solver=_SOLVER).fit(prepared, y)
    return replace(
        unfitted, mean=prepared.mean(axis=0), coefficients=model.coef_[0], intercept=float(model.intercept_[0])
    )


def blend(trees: Floats, linear: Floats, tree_weight: float) -> Floats:
    """The weighted mean of two logits."""
    return tree_weight * trees + (1 - tree_weight) * linear


def calibrated(logit: Floats, choice: Choice, drift: float = 0.0) -> Floats:
    """The probability of a blended logit."""
    return np.asarray(expit(choice.slope * logit + choice.intercept + drift))


def platt(logit: Floats, y: Floats) -> tuple[float, float]:
    """Slope and intercept of a logistic calibration (Platt 1999); the slope stays positive, so ranks are kept."""
    model = LogisticRegression(C=_UNPENALISED, solver=_SOLVER).fit(logit[:, None], y)
    return max(float(model.coef_[0, 0]), _MIN_SLOPE), float(model.intercept_[0])


def rate_drift(rows: Sequence[Rows], horizon_days: int, *, test: int, inverse_penalty: float) -> float:
    """Logits by which users stay away more, since the fit's last instant, than the past would have foretold.

    The main horizon's latest windows are still open, but a short horizon's have closed. A linear model of the short
    horizon, fitted where the main one can be, is judged on the instants since, on other users; half of the shift that
    makes its mean meet the rate is taken over. 0 where the horizon is too short to have such instants.
    """
    short = short_horizon(horizon_days)
    past = [one for one in rows if is_closed(one.as_of, horizon_days, by=test)]
    since = [
        one for one in rows if not is_closed(one.as_of, horizon_days, by=test) and is_closed(one.as_of, short, by=test)
    ]
    if short > horizon_days / 2 or not since:
        return 0.0
    old, new = (Table.of(part, short, late_share=LATE_SHARE) for part in (past, since))
    old_fold, new_fold = fold_of(old.users, N_FOLDS), fold_of(new.users, N_FOLDS)
    if not (_both_occur(new.y) and _each_fold_can_be_left_out(old.y, old_fold)):
        return 0.0
    logit = np.zeros(len(new.y))
    for fold in range(N_FOLDS):
        fitted, judged = old_fold != fold, new_fold == fold
        linear = fit_linear(old.features[fitted], old.y[fitted], inverse_penalty)
        logit[judged] = linear.logit(new.features[judged])
    return _DRIFT_SHARE * _shift(logit, float(new.y.mean()))


def _shift(logit: Floats, rate: float) -> float:
    """The constant, within bounds, that moves the mean probability of the logits to ``rate``."""

    def excess(shift: float) -> float:
        return float(expit(logit + shift).mean()) - rate

    if excess(-_MAX_DRIFT) >= 0:
        return -_MAX_DRIFT
    if excess(_MAX_DRIFT) <= 0:
        return _MAX_DRIFT
    return float(brentq(excess, -_MAX_DRIFT, _MAX_DRIFT))


def _least_loss(logits: Sequence[Floats] | Floats, y: Floats) -> int:
    """Which logit has the least log-loss once calibrated."""
    losses = []
    for logit in logits:
        slope, intercept = platt(logit, y)
        z = slope * logit + intercept
        losses.append(float(np.mean(np.logaddexp(0, z) - y * z)))
    return int(np.argmin(losses))


def _both_occur(y: Floats) -> bool:
    return bool(0 < y.sum() < len(y))


def _each_fold_can_be_left_out(y: Floats, fold: npt.NDArray[np.int64]) -> bool:
    """Whether some churned and some returned among the rows of the other folds, whichever is left out."""
    return all(_both_occur(y[fold != one]) for one in range(N_FOLDS))


def _require_both_classes(y: Floats, horizon_days: int) -> None:
    n_churned = int(y.sum())
    if min(n_churned, len(y) - n_churned) < MIN_OF_EACH:
        raise DataError(
            f"{n_churned} of {len(y)} training rows churned within {horizon_days} days; "
            f"at least {MIN_OF_EACH} that churned and {MIN_OF_EACH} that returned are needed"
        )

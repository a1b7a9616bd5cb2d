"""How good a fitted churn model is on what users did later, beside its baselines and by slice."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from features.errors import DataError
from training.churn.config import Gates
from training.churn.export import PARITY
from training.churn.fitting import LATE_SHARE, Choice, Grid, tune
from training.churn.instants import is_closed
from training.churn.recipe import BASELINES, ChurnModel, ChurnTraining
from training.churn.rows import Rows, Table
from training.gates import Gate
from training.metrics import Difference, Quality, auc, ece, ece_by_chance, judge, paired_auc_difference

Floats = npt.NDArray[np.float64]

SLICES: Final = {
    "tenure": ("tenure_days", (("under 30 days", 0, 30), ("30 to 90", 30, 90), ("over 90", 90, np.inf))),
    "activity": ("n_active_days_30d", (("0 to 1 days in 30", 0, 2), ("2 to 5", 2, 6), ("6 or more", 6, np.inf))),
}
_MAX_ABLATION_ROWS: Final = 8_000


@dataclass(frozen=True, slots=True)
class Slice:
    """Figures of a part of the test users at the main horizon; AUC is NaN where one outcome is absent."""

    slice: str
    group: str
    n: int
    base_rate: float
    auc: float
    ece: float


@dataclass(frozen=True, slots=True, eq=False)
class HorizonEvaluation:
    """One horizon on the held-out users: outcomes, each predictor's probabilities, and their figures."""

    horizon_days: int
    y: Floats
    predictions: Mapping[str, Floats]
    qualities: Mapping[str, Quality]

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON values."""
        figures = {name: quality.to_json() for name, quality in self.qualities.items()}
        return {"n": len(self.y), "base_rate": float(self.y.mean()), **figures}


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """All that is known of a model's quality.

    ``differences`` are paired AUC differences at the main horizon; ``ece_by_chance`` is what its calibration error may
    be by chance alone.
    """

    horizons: tuple[HorizonEvaluation, ...]
    differences: Mapping[str, Difference]
    ece_by_chance: float
    slices: tuple[Slice, ...]
    importance: Mapping[str, float]
    ablation: Mapping[str, float]

    @property
    def main(self) -> HorizonEvaluation:
        """The longest horizon's."""
        return self.horizons[-1]

    def gates(self, gates: Gates, parity: float) -> list[Gate]:
        """The bounds the model must meet, with what was measured."""
        worst = min(difference.mean for difference in self.differences.values())
        return [
            Gate("auc_difference", worst, minimum=gates.min_auc_difference),
            Gate("ece", self.main.qualities["model"].ece, maximum=max(gates.max_ece, self.ece_by_chance)),
            Gate("parity", parity, maximum=PARITY),
        ]

    def to_json(self) -> dict[str, Any]:
        """The figures by name; what could not be measured is NaN."""
        return {
            "horizons": {str(one.horizon_days): one.to_json() for one in self.horizons},
            "paired_auc_difference": {name: asdict(one) for name, one in self.differences.items()},
            "ece_by_chance": self.ece_by_chance,
            "slices": [asdict(one) for one in self.slices],
            "importance": dict(self.importance),
            "ablation": dict(self.ablation),
        }


def evaluate(training: ChurnTraining, seed: int) -> Evaluation:
    """Judge a fitted model on the users held out at the main test instant."""
    rng = np.random.default_rng(seed)
    model, rows = training.model, training.test_rows
    horizons = tuple(_evaluate_horizons(model, rows, rng))
    return Evaluation(
        horizons,
        differences={name: paired_auc_difference(training.trials[name], rng) for name in BASELINES},
        ece_by_chance=ece_by_chance(horizons[-1].predictions["model"], rng),
        slices=tuple(_slices(model, rows, horizons[-1])),
        importance=_importance(model),
        ablation=ablate(training, seed),
    )


def ablate(training: ChurnTraining, seed: int) -> dict[str, float]:
    """By feature, the AUC lost on tuning rows of the main horizon when a fit does without it (noise about .002).

    What happened after the test instant plays no part: this is what a feature's place in the set is decided by. NaN
    where one outcome is too rare among a few thousand rows.
    """
    fit, main = training.model.fits[-1], training.plan.main
    usable = [rows for rows in training.train_rows if is_closed(rows.as_of, fit.horizon_days, by=main)]
    thinned = [rows.thin(_MAX_ABLATION_ROWS // len(usable)) for rows in usable]
    table = Table.of(thinned, fit.horizon_days, late_share=LATE_SHARE)
    names = [feature.name for feature in training.model.features]
    try:
        whole = _tuned_auc(table, fit.choice, seed)
        return {name: whole - _tuned_auc(table.without(column), fit.choice, seed) for column, name in enumerate(names)}
    except DataError:  # one outcome is so rare that too little of it is left
        return dict.fromkeys(names, float("nan"))


def _tuned_auc(table: Table, choice: Choice, seed: int) -> float:
    tuning = tune(table, seed, Grid.only(choice))
    return float(auc(tuning.y, tuning.logit)[0])


def _evaluate_horizons(model: ChurnModel, rows: Rows, rng: np.random.Generator) -> Iterator[HorizonEvaluation]:
    ours = model.predict(rows.features)
    for column, fit in enumerate(model.fits):
        y = rows.churned(fit.horizon_days)
        baselines = {name: fit.predict_baseline(name, rows.features) for name in BASELINES}
        predictions = {"model": ours[:, column], **baselines}
        qualities = {name: judge(y, p, rng) for name, p in predictions.items()}
        yield HorizonEvaluation(fit.horizon_days, y, predictions, qualities)


def _slices(model: ChurnModel, rows: Rows, main: HorizonEvaluation) -> Iterator[Slice]:
    names = [feature.name for feature in model.features]
    for name, (feature, groups) in SLICES.items():
        values = rows.features[:, names.index(feature)]
        for group, low, high in groups:
            chosen = (values >= low) & (values < high)
            if chosen.any():
                y, p = main.y[chosen], main.predictions["model"][chosen]
                yield Slice(name, group, int(chosen.sum()), float(y.mean()), float(auc(y, p)[0]), ece(y, p))


def _importance(model: ChurnModel) -> dict[str, float]:
    gain = model.fits[-1].booster.feature_importance("gain")
    total = gain.sum() or 1.0  # trees that never split gain nothing
    return {feature.name: float(one / total) for feature, one in zip(model.features, gain, strict=True)}

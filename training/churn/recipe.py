"""The churn recipe: from an event log to a judged model, ready to be written as ONNX."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from features.errors import DataError
from features.schema import EVENT_KINDS, IMPRESSION
from features.snapshots import EventLog, log_span
from features.sources import Dataset
from features.user import CHURN_FEATURES, KIND_FEATURES, Feature
from training.churn.config import ChurnConfig
from training.churn.fitting import HorizonFit, fit_horizon
from training.churn.instants import Plan, date_of, plan_instants
from training.churn.rows import Rows
from training.metrics import Trial
from training.progress import Progress

Floats = npt.NDArray[np.float64]

BASELINES: Final = ("recency", "logistic")

MAX_ROWS: Final = 120_000
"""Training rows kept over all instants; each instant keeps at most its even share."""

MAX_KINDS: Final = 4
"""How many kinds of activity, the commonest, a model tells apart; with a single kind the totals say it all."""


@dataclass(frozen=True, slots=True, eq=False)
class ChurnModel:
    """A fitted churn model: the features it reads and one fit per horizon, ascending."""

    features: tuple[Feature, ...]
    fits: tuple[HorizonFit, ...]
    active_days: int

    def predict(self, features: npt.NDArray[np.float32]) -> Floats:
        """Churn probabilities by LightGBM and NumPy, shape (n, n_horizons); no horizon lies above a shorter one."""
        columns = [fit.predict(features) for fit in self.fits]
        return np.minimum.accumulate(np.stack(columns, axis=1), axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class ChurnTraining:
    """A model with what it was fitted and judged on.

    ``test_rows`` are the users held out at the main test instant. ``trials`` set the model beside each baseline at the
    main horizon, one trial per test instant, each with a fit of its own.
    """

    plan: Plan
    model: ChurnModel
    train_rows: tuple[Rows, ...]
    test_rows: Rows
    trials: dict[str, list[Trial]]


def train_churn(config: ChurnConfig, dataset: Dataset, progress: Progress) -> ChurnTraining:
    """Fit on what was known at the latest test instant; compare with the baselines there and at earlier instants.

    DataError for a log that is too short, too small or too uniform to learn from.
    """
    plan = plan_instants(config, *log_span(dataset))
    n_steps = len(plan.test) + len(config.horizon_days)
    progress("reading the log", 0, n_steps)
    features, train, tests = read_rows(dataset, plan, config)
    trials: dict[str, list[Trial]] = {name: [] for name in BASELINES}
    for place, as_of in enumerate(plan.test[:-1], start=1):
        progress("judging at an earlier instant", place, n_steps)
        try:
            _add_trials(trials, fit_horizon(train, config.main_horizon, test=as_of, seed=config.seed), tests[as_of])
        except DataError:  # too little was known by then: the comparison does without this instant
            plan = replace(plan, test=tuple(test for test in plan.test if test != as_of))
    fits = []
    for place, horizon_days in enumerate(config.horizon_days, start=len(plan.test)):
        progress(f"fitting the {horizon_days}-day horizon", place, n_steps)
        fits.append(fit_horizon(train, horizon_days, test=plan.main, seed=config.seed))
    _add_trials(trials, fits[-1], tests[plan.main])
    model = ChurnModel(features, tuple(fits), config.present_days)
    return ChurnTraining(plan, model, train, tests[plan.main], trials)


def read_rows(
    dataset: Dataset, plan: Plan, config: ChurnConfig
) -> tuple[tuple[Feature, ...], tuple[Rows, ...], dict[int, Rows]]:
    """The features, the training rows in time order, and the test rows by instant; all of users active lately.

    The features are the core set, and those of the kinds that are common before the main test instant. Only training
    rows are thinned, as they are read.
    """
    log = EventLog(dataset, [*plan.train, *plan.test])
    chosen = (*CHURN_FEATURES, *kind_features(log.kind_counts(before=plan.main)))
    train, tests = [], {}
    for snapshot in log.snapshots(active_days=config.present_days):
        rows = Rows.of(snapshot, chosen)
        if rows.as_of in plan.train:
            train.append(rows.thin(MAX_ROWS // len(plan.train)))
        if rows.as_of in plan.test:
            tests[rows.as_of] = rows
    return chosen, tuple(train), tests


def kind_features(counts: dict[int, int]) -> list[Feature]:
    """The features of the commonest kinds of activity, given the events per kind code."""
    activity = {kind: n for kind, n in counts.items() if kind != IMPRESSION}
    commonest = sorted(activity, key=lambda kind: (-activity[kind], kind))[:MAX_KINDS]
    return [one for kind in commonest for one in KIND_FEATURES[EVENT_KINDS[kind]]] if len(commonest) > 1 else []


def _add_trials(trials: dict[str, list[Trial]], fit: HorizonFit, rows: Rows) -> None:
    y = rows.churned(fit.horizon_days)
    n_churned = int(y.sum())
    if not 0 < n_churned < len(y):
        held_out = f"{n_churned} of the {len(y)} users held out at {date_of(rows.as_of)}"
        raise DataError(f"{held_out} churned within {fit.horizon_days} days: a model can't be judged on them")
    ours = fit.predict(rows.features)
    for name in BASELINES:
        trials[name].append(Trial(rows.users, y, ours, fit.predict_baseline(name, rows.features)))

"""Champion and challenger on the same held-out users, at what those did later."""

import numpy as np
import numpy.typing as npt

from features.errors import DataError
from features.snapshots import EventLog, Snapshot, log_span
from features.sources import Dataset
from models.churn.scorer import ChurnScorer
from training.churn.config import ChurnConfig
from training.churn.instants import date_of, test_instant
from training.churn.rows import churned
from training.errors import ReleaseError
from training.gates import Gate
from training.metrics import Trial, ece, ece_by_chance, paired_auc_difference

Floats = npt.NDArray[np.float64]


def compare(challenger: ChurnScorer, champion: ChurnScorer | None, dataset: Dataset, config: ChurnConfig) -> list[Gate]:
    """The gates of a promotion: calibration, and AUC beside the champion's at the longest horizon both have.

    Both models score the same users, those at ``config``'s test instant, from the same states.
    """
    others = champion.settings if champion else challenger.settings
    shared = set(challenger.settings.horizon_days) & set(others.horizon_days)
    if not shared:
        raise ReleaseError("challenger and champion share no horizon: they can't be compared")
    horizon_days = max(shared)
    held_out = _held_out(dataset, config, horizon_days)
    ours = _probability(challenger, held_out, horizon_days)
    theirs = _probability(champion, held_out, horizon_days) if champion else ours
    both = np.isfinite(ours) & np.isfinite(theirs)
    if not both.any():
        raise DataError(f"nobody can be compared: no user of the log was active lately at {date_of(held_out.as_of)}")
    y = churned(held_out.next_at, held_out.as_of, horizon_days)[both]
    rng = np.random.default_rng(config.seed)
    gates = [Gate("ece", ece(y, ours[both]), maximum=max(config.gates.max_ece, ece_by_chance(ours[both], rng)))]
    if champion:
        trial = Trial(np.arange(len(y)), y, ours[both], theirs[both])
        difference = paired_auc_difference([trial], rng)
        gates.append(Gate("auc_difference_to_champion", difference.mean, minimum=config.gates.min_auc_difference))
    return gates


def _held_out(dataset: Dataset, config: ChurnConfig, horizon_days: int) -> Snapshot:
    """Everyone at the configured test instant, or at the latest whose window the log covers."""
    _, end = log_span(dataset)
    return next(EventLog(dataset, [test_instant(config, horizon_days, end)]).snapshots())


def _probability(scorer: ChurnScorer, snapshot: Snapshot, horizon_days: int) -> Floats:
    """Each user's probability at a horizon; NaN for those the model gives none."""
    scores = scorer.score(snapshot.states, snapshot.as_of)
    return scores.probability[:, scorer.settings.horizon_days.index(horizon_days)].astype(np.float64)

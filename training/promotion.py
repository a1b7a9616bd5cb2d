"""Which version answers: promotion by the same held-out users for both, and the way back."""

import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from features.errors import DataError
from features.snapshots import EventLog, Snapshot, log_span
from features.sources import Dataset
from models.churn.scorer import ChurnScorer
from training.config import ChurnConfig
from training.errors import GateError, ReleaseError
from training.gates import Gate
from training.instants import date_of, test_instant
from training.metrics import Trial, ece, ece_by_chance, paired_auc_difference
from training.release import fetch, require
from training.rows import churned
from training.tracking import CHALLENGER, CHAMPION, Move, Registry, Version

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Reason:
    """Who moves an alias, and why."""

    by: str
    why: str

    def move(self, kind: str, origin: Version | None) -> Move:
        """The move this reason is for, at the present instant."""
        at = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        return Move(kind, origin.number if origin else None, self.by, at, self.why)


def promote(registry: Registry, task: str, dataset: Dataset, config: ChurnConfig, reason: Reason) -> Version:
    """Make the challenger champion, if it holds its own on the users held out at ``config``'s test instant.

    Both models score the same users from the same states. GateError where the challenger falls short (the champion
    stays); ReleaseError without a challenger, or where it is the champion already.
    """
    challenger, champion = require(registry, task, CHALLENGER), registry.find(task, CHAMPION)
    if champion and champion.number == challenger.number:
        raise ReleaseError(f"{task} version {challenger.number} is the champion already")
    with tempfile.TemporaryDirectory() as folder:
        scorers = {
            alias: ChurnScorer(fetch(registry, version, Path(folder)))
            for alias, version in ((CHALLENGER, challenger), (CHAMPION, champion))
            if version
        }
    gates = compare(scorers[CHALLENGER], scorers.get(CHAMPION), dataset, config)
    if failed := [gate for gate in gates if not gate.passed]:
        raise GateError("; ".join(map(str, failed)))
    registry.move_champion(challenger, reason.move("promote", champion))
    return challenger


def rollback(registry: Registry, task: str, reason: Reason) -> Version:
    """Make the version champion again that was before the present one; ReleaseError where there is none."""
    champion = require(registry, task, CHAMPION)
    before = registry.version_before(champion)
    registry.move_champion(before, reason.move("rollback", champion))
    return before


def compare(challenger: ChurnScorer, champion: ChurnScorer | None, dataset: Dataset, config: ChurnConfig) -> list[Gate]:
    """The gates of a promotion: calibration, and AUC beside the champion's at the longest horizon both have."""
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

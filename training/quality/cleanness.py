"""How often a model flags notes that nothing is wrong with."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from features.sources import Dataset
from models.quality.scorer import QualityScorer
from training.progress import Progress
from training.quality.corpus import read_notes

MAX_NOTES: Final = 2_000


def flag_rates(
    scorer: QualityScorer, datasets: Sequence[Dataset], seed: int, progress: Progress
) -> dict[str, dict[str, float]]:
    """By dataset and label, the share of some of its notes that is flagged; ``any`` is flagged for any label."""
    found = {}
    for place, dataset in enumerate(datasets):
        progress("scoring clean notes", place, len(datasets))
        notes = [note for note, _ in read_notes(dataset).values()]
        rows = np.random.default_rng(seed).permutation(len(notes))[:MAX_NOTES]
        probability = scorer.score([notes[row] for row in rows]).probability
        flagged = probability >= np.array([label.threshold for label in scorer.settings.labels])
        rates = {label.name: float(flagged[:, k].mean()) for k, label in enumerate(scorer.settings.labels)}
        found[dataset.folder.name] = {**rates, "any": float(flagged.any(axis=1).mean())}
    return found

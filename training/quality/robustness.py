"""What evasion costs: flagged harm written as evaders write, and how much of it is still flagged."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from models.quality.reading import NoteText
from models.quality.scorer import QualityScorer
from models.quality.settings import LabelKind
from training.progress import Progress
from training.quality.corpus import DEV, Corpus
from training.quality.evasions import WAYS, evade

MAX_NOTES: Final = 150
"""Notes of each label that are rewritten, in each way."""
MIN_NOTES: Final = 20


@dataclass(frozen=True, slots=True)
class Robustness:
    """Of ``n`` tuning notes with a harm: the share flagged as they are, and by way of evading."""

    n: int
    flagged: float
    flagged_by_way: Mapping[str, float]

    @property
    def drop(self) -> float:
        """What evading hides on average over the ways, as a share of all the notes."""
        return self.flagged - float(np.mean(list(self.flagged_by_way.values())))


def measure_robustness(scorer: QualityScorer, corpus: Corpus, seed: int, progress: Progress) -> dict[str, Robustness]:
    """By harm label, what evading hides; labels with too few notes to tell are left out."""
    found = {}
    tune = corpus.split(DEV)
    for place, label in enumerate(scorer.settings.labels):
        harmful = np.flatnonzero(tune.targets[:, corpus.labels.index(label.name)] >= 0.5)
        if label.kind is not LabelKind.HARM or len(harmful) < MIN_NOTES:
            continue
        rng = np.random.default_rng(seed)
        notes = [tune.notes[row] for row in rng.permutation(harmful)[:MAX_NOTES]]

        def flagged(some: list[NoteText], column: int = place, threshold: float = label.threshold) -> float:
            return float((scorer.score(some).probability[:, column] >= threshold).mean())

        by_way = {}
        for n_done, way in enumerate(WAYS):
            progress(f"evading {label.name}", n_done, len(WAYS))
            by_way[way] = flagged([_evaded(note, way, seed) for note in notes])
        found[label.name] = Robustness(len(notes), flagged(notes), by_way)
    return found


def _evaded(note: NoteText, way: str, seed: int) -> NoteText:
    return NoteText(evade(note.title, way, seed=seed), evade(note.body, way, seed=seed))

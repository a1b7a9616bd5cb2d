"""Champion and challenger on the same held-out notes."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from features.sources import Dataset
from models.quality.scorer import QualityScorer
from training.errors import ReleaseError
from training.gates import Gate
from training.metrics import Trial, paired_auc_difference
from training.quality.config import QualityConfig
from training.quality.corpus import DEV, TEST, Corpus, read_corpus

Floats = npt.NDArray[np.float64]


def compare(
    challenger: QualityScorer, champion: QualityScorer | None, datasets: Sequence[Dataset], config: QualityConfig
) -> list[Gate]:
    """The gates of a promotion: AUC less the champion's on each label that both have, the upper end of its interval.

    Both score the notes of the split ``test``, or where the datasets have none those of ``dev``. ReleaseError where
    the two share no label, or no note was judged for one.
    """
    corpus = read_corpus(datasets)
    held_out = corpus.split(TEST if (corpus.splits == TEST).any() else DEV)
    theirs = champion or challenger
    names = [label.name for label in challenger.settings.labels]
    shared = [label.name for label in theirs.settings.labels if label.name in names and label.name in corpus.labels]
    if not shared:
        raise ReleaseError("challenger, champion and data share no label: they can't be compared")
    scores = [one.score(held_out.notes).probability.astype(np.float64) for one in (challenger, theirs)]
    return [_gate(name, challenger, theirs, held_out, scores, config) for name in shared]


def _gate(
    name: str,
    challenger: QualityScorer,
    champion: QualityScorer,
    held_out: Corpus,
    scores: Sequence[Floats],
    config: QualityConfig,
) -> Gate:
    column = held_out.labels.index(name)
    known = held_out.known(column)
    y = (held_out.targets[known, column] >= 0.5).astype(np.float64)
    places = [[label.name for label in one.settings.labels].index(name) for one in (challenger, champion)]
    ours, theirs = (score[known, place] for score, place in zip(scores, places, strict=True))
    trial = Trial(np.arange(len(y)), y, ours, theirs)
    difference = paired_auc_difference([trial], np.random.default_rng(config.seed))
    return Gate(f"auc_difference_to_champion.{name}", difference.high, minimum=-config.gates.max_auc_lost)

"""Champion and challenger on the same held-out notes."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from features.sources import Dataset
from models.quality.scorer import QualityScorer
from training.errors import ReleaseError
from training.gates import Gate
from training.metrics import Trial, paired_auc_difference
from training.quality.config import QualityConfig
from training.quality.corpus import MIN_TELLING, Corpus, read_corpus

Floats = npt.NDArray[np.float64]


def compare(
    challenger: QualityScorer, champion: QualityScorer | None, datasets: Sequence[Dataset], config: QualityConfig
) -> list[Gate]:
    """The gates of a promotion: AUC less the champion's on each label that both have, the upper end of its interval.

    Both score the notes of the split ``test``, or those of ``dev`` for a label that too few of the former have, or have
    not, to tell anything of it. A label of which neither tells is not compared. ReleaseError where that leaves none.
    """
    corpus = read_corpus(datasets)
    both = (challenger, champion or challenger)
    shared = [name for name in _names(both[0]) if name in _names(both[1]) and name in corpus.labels]
    splits = {name: split for name in shared if (split := corpus.telling_split(corpus.labels.index(name)))}
    if not splits:
        raise ReleaseError(
            f"challenger, champion and data share no label that {MIN_TELLING} held-out notes have and {MIN_TELLING} "
            "have not: they can't be compared"
        )
    scores = {split: [_score(one, corpus.split(split)) for one in both] for split in set(splits.values())}
    return [_gate(name, corpus.split(split), scores[split], config) for name, split in splits.items()]


def _names(scorer: QualityScorer) -> list[str]:
    return [label.name for label in scorer.settings.labels]


def _score(scorer: QualityScorer, notes: Corpus) -> dict[str, Floats]:
    """The probability of each label, by its name."""
    return dict(zip(_names(scorer), scorer.score(notes.notes).probability.astype(np.float64).T, strict=True))


def _gate(name: str, held_out: Corpus, scores: Sequence[Mapping[str, Floats]], config: QualityConfig) -> Gate:
    column = held_out.labels.index(name)
    ours, theirs = (of_one[name][held_out.known(column)] for of_one in scores)
    _, y = held_out.judged(column)
    trial = Trial(np.arange(len(y)), y, ours, theirs)
    difference = paired_auc_difference([trial], np.random.default_rng(config.seed))
    return Gate(f"auc_difference_to_champion.{name}", difference.high, minimum=-config.gates.max_auc_lost)

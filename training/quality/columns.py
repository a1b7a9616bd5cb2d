"""What a model judges: a column for each label, and two for a grade."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.errors import DataError
from training.quality.config import LabelSettings, QualityConfig
from training.quality.corpus import DEV, MIN_TELLING, TRAIN, Corpus

Floats = npt.NDArray[np.float64]

MIN_OF_A_KIND = {TRAIN: 10, DEV: MIN_TELLING}
"""How many notes with and without a label are needed, to learn from and to tune on."""
FAIR, GOOD = 0.25, 0.75
"""From where on a grade (0 poor, 0.5 fair, 1 good) is at least fair, and good."""


@dataclass(frozen=True, slots=True)
class Column:
    """A thing judged: a label, or with ``cut`` whether its grade is at least that."""

    label: str
    settings: LabelSettings
    cut: float | None = None

    @property
    def name(self) -> str:
        """The label's, or the grade's with its cut."""
        return self.label if self.cut is None else f"{self.label} >= {self.cut:g}"

    def targets(self, corpus: Corpus) -> Floats:
        """The notes' targets, 0 to 1, NaN where unknown."""
        given = corpus.targets[:, corpus.labels.index(self.label)]
        if self.cut is None:
            return given
        return np.where(np.isfinite(given), (given >= self.cut).astype(np.float64), np.nan)

    def weights(self, corpus: Corpus) -> Floats:
        """What each note counts."""
        return corpus.weights[:, corpus.labels.index(self.label)]


def columns_of(corpus: Corpus, config: QualityConfig) -> tuple[tuple[Column, ...], dict[str, str]]:
    """The columns, grades last, and the labels that there is too little of, with why.

    DataError where nothing is left, and for two grades.
    """
    graded = [label for label in corpus.labels if config.settings_of(label).kind == "grade"]
    if len(graded) > 1:
        raise DataError(f"a note has one grade, and the configuration declares {', '.join(graded)}")
    plain = [Column(label, config.settings_of(label)) for label in corpus.labels if label not in graded]
    grades = [Column(label, config.settings_of(label), cut) for label in graded for cut in (FAIR, GOOD)]
    lacking = dict.fromkeys(sorted(config.labels.keys() - set(corpus.labels)), "no note has it")
    lacking |= {column.label: why for column in (*plain, *grades) if (why := _lacks(column, corpus))}
    kept = tuple(column for column in (*plain, *grades) if column.label not in lacking)
    if not any(column.cut is None for column in kept):
        raise DataError("there is no label to learn: " + "; ".join(f"{name}: {why}" for name, why in lacking.items()))
    return kept, lacking


def _lacks(column: Column, corpus: Corpus) -> str:
    """What is missing of a column, empty if nothing is."""
    for split, least in MIN_OF_A_KIND.items():
        y = column.targets(corpus.split(split))
        n_with, n_without = int((y >= 0.5).sum()), int((y < 0.5).sum())
        if min(n_with, n_without) < least:
            return f"{split} has {n_with} notes with and {n_without} without, at least {least} of each are needed"
    return ""

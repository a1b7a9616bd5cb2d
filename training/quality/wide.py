"""The wide part: a logistic regression over hashed n-grams and surface signals, one for each label.

An n-gram counts by how rare it is (idf) or by that times how differently it stands in notes with and without the label
(Wang and Manning 2012, whose support vector machine is a logistic regression here). Which of the two, which lengths of
n-grams and how strong the penalty are chosen for each label.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from features.ngrams import N_BUCKETS, SHELVES
from models.quality.graph import SIGNAL_CLIP
from models.quality.parts import WidePart
from models.quality.reading import NGRAM_COUNTS, NGRAM_NOTE, NGRAMS, SIGNALS
from training.metrics import auc

Floats = npt.NDArray[np.float64]
Matrix = Any
"""A sparse matrix of SciPy's."""

SIGNAL_SHARE: Final = 0.03
"""How large a spread of a signal stands beside the n-grams, whose row has norm 1: it counts, and does not rule."""

MIN_NOTES: Final = 3
"""An n-gram of fewer training notes is not read."""

N_FOLDS: Final = 3
MIN_TUNING: Final = 200
"""Notes to tune on that choices may rest on."""


class Choice(NamedTuple):
    """What is chosen for a label: the longest n-grams, how they count, and the inverse penalty."""

    longest: int
    by_contrast: bool
    inverse_penalty: float


INVERSE_PENALTIES: Final = (3.0, 10.0, 30.0)
CHOICES: Final = tuple(Choice(*one) for one in product((2, 3), (False, True), INVERSE_PENALTIES))


@dataclass(frozen=True, slots=True, eq=False)
class Wide:
    """One label's fitted part: ``weight`` and ``norm`` (n_buckets,) float16, as ``WidePart`` has them by column."""

    choice: Choice
    weight: npt.NDArray[np.float16]
    norm: npt.NDArray[np.float16]
    signal_weight: npt.NDArray[np.float32]
    intercept: float


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """Notes as the wide part reads them: n-gram counts, sparse (n, n_buckets), and signals, (n, n_signals)."""

    counts: Matrix
    signals: Floats

    @classmethod
    def of(cls, arrays: dict[str, npt.NDArray[Any]]) -> "Surface":
        """What ``NoteReader`` read."""
        places = arrays[NGRAM_NOTE].astype(np.int32), arrays[NGRAMS].astype(np.int32)  # liblinear wants 32 bits
        shape = len(arrays[SIGNALS]), N_BUCKETS
        counts = sparse.coo_array((arrays[NGRAM_COUNTS].astype(np.float64), places), shape).tocsr()
        return cls(counts, arrays[SIGNALS].astype(np.float64))

    def take(self, rows: npt.NDArray[Any]) -> "Surface":
        """Some of the notes."""
        return Surface(self.counts[rows], self.signals[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """Notes that were judged for one label: 0 or 1, what each note counts, and numbers of alike notes; each (n,)."""

    surface: Surface
    y: Floats
    weights: Floats
    groups: npt.NDArray[np.int64]

    @property
    def has_both(self) -> bool:
        """Whether there are notes with the label and notes without it."""
        return len(np.unique(self.y)) > 1

    def take(self, rows: npt.NDArray[Any]) -> "Labelled":
        """Some of the notes."""
        return Labelled(self.surface.take(rows), self.y[rows], self.weights[rows], self.groups[rows])

    def and_also(self, other: "Labelled") -> "Labelled":
        """These notes and others."""
        ours, theirs = self.surface, other.surface
        counts = sparse.vstack([ours.counts, theirs.counts], format="csr")
        return Labelled(
            Surface(counts, np.concatenate([ours.signals, theirs.signals])),
            np.concatenate([self.y, other.y]),
            np.concatenate([self.weights, other.weights]),
            np.concatenate([self.groups, other.groups]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class SignalScale:
    """Mean and spread of each signal over the training notes, of any label."""

    mean: Floats
    spread: Floats

    @classmethod
    def of(cls, signals: Floats) -> "SignalScale":
        """A signal that never varies gets spread 1."""
        spread = signals.std(axis=0)
        return cls(signals.mean(axis=0), np.where(spread > 1e-6, spread, 1.0))

    def standard(self, signals: Floats) -> Floats:
        """Signals in spreads from their mean, clipped as the graph clips them."""
        return ((signals - self.mean) / self.spread).clip(-SIGNAL_CLIP, SIGNAL_CLIP)


def fit_wide(learn: Labelled, tune: Labelled, scale: SignalScale) -> Wide:
    """Fit one label on the notes to learn from; what is chosen for it ranks the notes to tune on best."""
    return refit(learn, _choose(learn, tune, scale), scale)


def refit(learn: Labelled, choice: Choice, scale: SignalScale) -> Wide:
    """Fit one label as was chosen before."""
    norm = _norm(learn, choice)
    model = _fitted(_inputs(learn.surface, norm, scale), learn, choice.inverse_penalty)
    of_ngrams, of_signals = np.split(model.coef_[0], [N_BUCKETS])
    return Wide(
        choice,
        weight=(of_ngrams * norm).astype(np.float16),
        norm=norm.astype(np.float16),
        signal_weight=(of_signals * SIGNAL_SHARE).astype(np.float32),
        intercept=float(model.intercept_[0]),
    )


def _choose(learn: Labelled, tune: Labelled, scale: SignalScale) -> Choice:
    """The choice with the best AUC on the notes to tune on: these may be later, or of another place, as are those that
    the model will meet. Too few of them tell nothing: then on folds of all notes, alike ones in one fold, but for folds
    in which all notes that remain, or all that are judged, have the label or none has.
    """
    if len(tune.y) >= MIN_TUNING:
        trials = [(learn, tune)]
    else:
        both = learn.and_also(tune)
        folds = GroupKFold(N_FOLDS).split(both.y, groups=both.groups)
        parts = [(both.take(ours), both.take(theirs)) for ours, theirs in folds]
        trials = [(ours, theirs) for ours, theirs in parts if ours.has_both and theirs.has_both]
    areas = dict.fromkeys(CHOICES, 0.0)
    for (ours, theirs), (longest, by_contrast) in product(trials, product((2, 3), (False, True))):
        norm = _norm(ours, Choice(longest, by_contrast, 1.0))
        inputs, judged = (_inputs(one.surface, norm, scale) for one in (ours, theirs))
        for inverse_penalty in INVERSE_PENALTIES:
            logit = _fitted(inputs, ours, inverse_penalty).decision_function(judged)
            areas[Choice(longest, by_contrast, inverse_penalty)] += float(auc(theirs.y, logit)[0])
    return max(CHOICES, key=areas.__getitem__)


def _fitted(inputs: Matrix, target: Labelled, inverse_penalty: float) -> LogisticRegression:
    model = LogisticRegression(C=inverse_penalty, solver="liblinear", max_iter=300, random_state=0)
    return model.fit(inputs, target.y, sample_weight=target.weights)


def _norm(learn: Labelled, choice: Choice) -> Floats:
    """What each n-gram's count is multiplied by, (n_buckets,); 0 for those that are not read."""
    stands_in = learn.surface.counts.astype(bool).astype(np.float64)
    n_notes = stands_in.sum(axis=0)
    norm = np.log((1 + len(learn.y)) / (1 + n_notes)) + 1
    if choice.by_contrast:
        with_label = stands_in.T @ (learn.weights * learn.y) + 1.0
        without = stands_in.T @ (learn.weights * (1 - learn.y)) + 1.0
        norm *= np.abs(np.log(with_label / with_label.sum()) - np.log(without / without.sum()))
    norm[n_notes < MIN_NOTES] = 0
    norm[SHELVES[choice.longest].stop :] = 0
    return np.asarray(norm.astype(np.float16), np.float64)


def _inputs(surface: Surface, norm: Floats, scale: SignalScale) -> Matrix:
    """Rows of norm 1 over the n-grams, and the signals."""
    weighted = surface.counts @ sparse.diags_array(norm)
    length = np.sqrt(weighted.power(2).sum(axis=1))
    ngrams = sparse.diags_array(1 / np.maximum(length, 1e-12)) @ weighted
    return sparse.hstack([ngrams, scale.standard(surface.signals) * SIGNAL_SHARE], format="csr")


def stacked(wides: Sequence[Wide], scale: SignalScale) -> WidePart:
    """The labels' parts side by side, as the graph has them."""
    return WidePart(
        weight=np.stack([one.weight for one in wides], axis=1),
        norm=np.stack([one.norm for one in wides], axis=1),
        signal_mean=scale.mean.astype(np.float32),
        signal_spread=scale.spread.astype(np.float32),
        signal_weight=np.stack([one.signal_weight for one in wides], axis=1),
        intercept=np.array([one.intercept for one in wides], np.float32),
    )


def wide_logits(part: WidePart, surface: Surface) -> Floats:
    """What the graph computes, (n, K), in float64."""
    weight, norm = part.weight.astype(np.float64), part.norm.astype(np.float64)
    total = surface.counts @ weight
    length = np.sqrt(surface.counts.power(2) @ norm**2)
    scale = SignalScale(part.signal_mean.astype(np.float64), part.signal_spread.astype(np.float64))
    standard = scale.standard(surface.signals)
    return np.asarray(total / np.maximum(length, 1e-12) + standard @ part.signal_weight + part.intercept)

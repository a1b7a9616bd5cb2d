"""How good a quality model is on held-out notes, label by label, beside TF-IDF with logistic regression.

What is judged is the bundle that would be released, reading whole notes as a server does.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score

from models.quality.scorer import QualityScorer
from models.quality.settings import Label
from training.metrics import Difference, Trial, auc, bootstrap, ece, paired_auc_difference
from training.progress import Progress
from training.quality.baseline import Texts, tfidf
from training.quality.corpus import DEV, TRAIN, Corpus

Floats = npt.NDArray[np.float64]

MIN_OF_A_CATEGORY: Final = 50
"""Notes without a label that a category's false positive rate is read from."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One predictor on one label: macro-F1 at one half, areas, calibration error; standard errors by resampling."""

    macro_f1: float
    macro_f1_se: float
    auc: float
    auc_se: float
    pr_auc: float
    ece: float

    def to_json(self) -> dict[str, float]:
        """The figures by name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Flags:
    """What the label's threshold does: share flagged, and precision and recall of the flags (NaN without any)."""

    threshold: float
    share: float
    precision: float
    recall: float


@dataclass(frozen=True, slots=True, eq=False)
class LabelEvaluation:
    """One label on the held-out notes of ``split`` that were judged for it.

    ``y`` is 0 or 1, ``predictions`` probabilities by predictor. ``auc_difference`` is model less baseline, paired.
    ``false_positive_rates`` are by category, of notes without the label.
    """

    label: Label
    split: str
    ids: Sequence[str]
    y: Floats
    predictions: Mapping[str, Floats]
    figures: Mapping[str, Figures]
    flags: Flags
    auc_difference: Difference
    false_positive_rates: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON values."""
        return {
            "split": self.split,
            "n": len(self.y),
            "base_rate": float(self.y.mean()),
            **{name: one.to_json() for name, one in self.figures.items()},
            "auc_difference": asdict(self.auc_difference),
            "flags": asdict(self.flags),
            "false_positive_rate_by_category": dict(self.false_positive_rates),
        }


def evaluate(scorer: QualityScorer, corpus: Corpus, seed: int, progress: Progress) -> list[LabelEvaluation]:
    """Judge each label on its test notes, or on those it was tuned on where too few of the former tell of it."""
    labels = scorer.settings.labels
    splits = [corpus.telling_split(corpus.labels.index(label.name)) for label in labels]
    scored = {}
    for name in sorted(set(splits)):
        progress("scoring held-out notes", 0, 1)
        held_out = corpus.split(name)
        scored[name] = held_out, scorer.score(held_out.notes).probability.astype(np.float64)
    found = []
    for place, (label, name) in enumerate(zip(labels, splits, strict=True)):
        progress(f"judging {label.name}", place, len(labels))
        found.append(_evaluate(label, place, corpus, name, *scored[name], np.random.default_rng(seed)))
    return found


def _evaluate(
    label: Label,
    place: int,
    corpus: Corpus,
    split: str,
    held_out: Corpus,
    probability: Floats,
    rng: np.random.Generator,
) -> LabelEvaluation:
    column = corpus.labels.index(label.name)
    judged, y = held_out.judged(column)
    ours = probability[held_out.known(column), place]
    learn, tune = (corpus.split(name).judged(column) for name in (TRAIN, DEV))
    theirs = tfidf(Texts(learn[0].notes, learn[1]), Texts(tune[0].notes, tune[1]), judged.notes)
    predictions = {"model": ours, "tfidf": theirs}
    flagged = ours >= label.threshold
    return LabelEvaluation(
        label,
        split,
        judged.ids,
        y,
        predictions,
        {name: figures(y, p, rng) for name, p in predictions.items()},
        Flags(label.threshold, float(flagged.mean()), _mean(y[flagged]), _mean(flagged[y == 1])),
        paired_auc_difference([Trial(np.arange(len(y)), y, ours, theirs)], rng),
        dict(_false_positive_rates(judged.categories, y, flagged)),
    )


def figures(y: Floats, p: Floats, rng: np.random.Generator) -> Figures:
    """All figures of one predictor on one label."""
    areas = bootstrap(len(y), rng, lambda weights: auc(y, p, weights))
    scores = bootstrap(len(y), rng, lambda weights: macro_f1(y, p, weights))
    return Figures(
        macro_f1=float(macro_f1(y, p, np.ones((1, len(y))))[0]),
        macro_f1_se=float(np.nanstd(scores)),
        auc=float(auc(y, p)[0]),
        auc_se=float(np.nanstd(areas)),
        pr_auc=float(average_precision_score(y, p)),
        ece=ece(y, p),
    )


def macro_f1(y: Floats, p: Floats, weights: Floats) -> Floats:
    """The mean F1 of both answers at one half, a number for each row of ``weights`` (n_resamples, n)."""
    says = p >= 0.5
    of_both = []
    for actual, said in ((y == 1, says), (y == 0, ~says)):
        right = weights @ (actual & said)
        wrong = weights @ (actual != said)
        of_both.append(2 * right / np.maximum(2 * right + wrong, 1e-12))
    return np.asarray(np.mean(of_both, axis=0))


def _false_positive_rates(
    categories: Sequence[str], y: Floats, flagged: npt.NDArray[np.bool_]
) -> Iterator[tuple[str, float]]:
    named = np.array(categories)
    for category in sorted(set(categories) - {""}):
        without = (named == category) & (y == 0)
        if without.sum() >= MIN_OF_A_CATEGORY:
            yield category, float(flagged[without].mean())


def _mean(values: Floats | npt.NDArray[np.bool_]) -> float:
    return float(values.mean()) if len(values) else float("nan")

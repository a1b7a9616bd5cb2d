"""From a fitted model to the bundle to release: it says what the trainer says, in 8 bits where that is safe."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from models.bundle import Bundle
from models.quality.encoders.encoder import Encoder
from models.quality.encoders.graph import encoder_graph, quantise
from models.quality.scorer import QualityScorer
from training.progress import Progress
from training.quality.corpus import DEV, Corpus
from training.quality.evaluation import macro_f1
from training.quality.export import ExportedEncoder, export_quality
from training.quality.recipe import QualityModel

Floats = npt.NDArray[np.float64]

PARITY: Final = 1e-4
"""The largest difference of a probability between trainer and 32-bit bundle that may pass."""
N_NEAR: Final = 100
"""Notes on which parity is measured, of each label: those whose probability is nearest to its threshold."""


@dataclass(frozen=True, slots=True)
class Shipped:
    """The bundle to release; ``int8_f1_lost`` is the macro-F1 that 8 bits cost the label that they cost most.

    ``int8_f1_lost`` is None of a model without a tower: it has nothing to put in 8 bits.
    """

    bundle: Bundle
    parity: float
    int8_f1_lost: float | None
    in_8_bits: bool


def ship(model: QualityModel, corpus: Corpus, folder: Path, *, max_f1_lost: float, progress: Progress) -> Shipped:
    """Write the bundle below ``folder``, in 8 bits if the notes to tune on lose no more than ``max_f1_lost`` by it."""
    tune = corpus.split(DEV)
    progress("writing ONNX", 0, 2)
    exact = _exported(model.tower.encoder) if model.tower else None
    whole = export_quality(model, exact, folder)
    probability = _score(whole, tune)
    parity = _parity(model, tune, probability)
    if exact is None:
        return Shipped(whole, parity, None, in_8_bits=False)
    progress("in 8 bits", 1, 2)
    small = export_quality(model, ExportedEncoder(quantise(exact.graph), exact.tokenizer, in_8_bits=True), folder)
    lost = _f1_lost(model, tune, probability, _score(small, tune))
    safe = lost <= max_f1_lost
    return Shipped(small if safe else whole, parity, lost, in_8_bits=safe)


def _exported(encoder: Encoder) -> ExportedEncoder:
    tokenizer = encoder.tokenizer()
    tokenizer.no_truncation()
    return ExportedEncoder(encoder_graph(encoder), tokenizer.to_str(), in_8_bits=False)


def _score(bundle: Bundle, corpus: Corpus) -> Floats:
    return QualityScorer(bundle).score(corpus.notes).probability.astype(np.float64)


def _parity(model: QualityModel, tune: Corpus, probability: Floats) -> float:
    """The largest difference on the notes nearest to each label's threshold, where it could turn a flag."""
    thresholds = np.array([label.threshold for label in model.settings.labels])
    nearest = np.argsort(np.abs(probability - thresholds), axis=0, kind="stable")[:N_NEAR]
    rows = np.unique(nearest)
    ours = model.predict(tune.take(rows).notes)[:, : len(thresholds)]
    return float(np.abs(ours - probability[rows]).max())


def _f1_lost(model: QualityModel, tune: Corpus, exact: Floats, rounded: Floats) -> float:
    lost = []
    for place, label in enumerate(model.settings.labels):
        known = tune.known(tune.labels.index(label.name))
        y = (tune.targets[known, tune.labels.index(label.name)] >= 0.5).astype(np.float64)
        once = np.ones((1, len(y)))
        lost.append(float((macro_f1(y, exact[known, place], once) - macro_f1(y, rounded[known, place], once))[0]))
    return max(lost)

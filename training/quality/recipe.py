"""The quality recipe: from labelled notes to a fitted model, ready to be written as ONNX."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from features.text.lexicons import Lexicons
from models.quality.encoders.loading import load_encoder
from models.quality.network import Tower
from models.quality.parts import Blend, Embedding, QualityParts, WidePart
from models.quality.reading import NoteReader, NoteText
from models.quality.settings import EMBEDDING_DIM, Label, LabelKind, QualitySettings
from training.errors import ConfigError
from training.metrics import auc
from training.progress import Progress
from training.quality.blend import ColumnBlend, Logits, Tuning, fit_blend
from training.quality.columns import Column, columns_of
from training.quality.config import QualityConfig
from training.quality.corpus import DEV, HARMLESS, TRAIN, Corpus
from training.quality.tower import Ids, Learning, TowerPlan, Windows, deep_logits, fit_tower, pooled
from training.quality.wide import Choice, Labelled, SignalScale, Surface, Wide, fit_wide, refit, stacked, wide_logits

Floats = npt.NDArray[np.float64]

MAX_AUC_LOST: Final = 0.005
"""AUC on the notes to tune on that a label may lose by learning from harmless notes of other places."""

MAX_EMBEDDED: Final = 5_000
"""Training notes whose main axes the embedding is cut to."""


@dataclass(frozen=True, slots=True, eq=False)
class QualityModel:
    """A fitted model: settings, parts and tower, and the lexicons it reads with; columns are labels, then grades."""

    settings: QualitySettings
    columns: tuple[Column, ...]
    parts: QualityParts
    tower: Tower | None
    lexicons: Lexicons

    def reader(self) -> NoteReader:
        """What reads notes for it, as a server does."""
        tokenizer = self.tower.encoder.tokenizer() if self.tower else None
        return NoteReader(self.lexicons, tokenizer, window_tokens=self.settings.window_tokens or 0)

    def predict(self, notes: Sequence[NoteText]) -> Floats:
        """Probabilities by SciPy and torch, (n_notes, n_columns): what the exported graph must repeat."""
        arrays = self.reader().read(notes).arrays
        wide = wide_logits(self.parts.wide, Surface.of(arrays))
        deep = deep_logits(self.tower, Windows.of(arrays)) if self.tower else np.zeros_like(wide)
        blend = self.parts.blend
        share = blend.deep_weight.astype(np.float64)
        logit = share * deep / blend.deep_spread + (1 - share) * wide / blend.wide_spread
        return np.asarray(1 / (1 + np.exp(-(blend.slope * logit + blend.intercept))))


@dataclass(frozen=True, slots=True, eq=False)
class QualityTraining:
    """A model with what was chosen for each of its columns; labels that there was too little of, with why."""

    model: QualityModel
    choices: Mapping[str, Choice]
    blends: Mapping[str, ColumnBlend]
    left_out: Mapping[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class Notes:
    """Notes of one split as both parts read them; targets and weights are (n_notes, n_columns)."""

    corpus: Corpus
    targets: Floats
    weights: Floats
    surface: Surface
    arrays: dict[str, npt.NDArray[Any]]

    @classmethod
    def read(cls, corpus: Corpus, columns: Sequence[Column], reader: NoteReader) -> "Notes":
        """Read with the reader that serving will have."""
        arrays = reader.read(corpus.notes).arrays
        targets = np.stack([column.targets(corpus) for column in columns], axis=1)
        weights = np.stack([column.weights(corpus) for column in columns], axis=1)
        return cls(corpus, targets, weights, Surface.of(arrays), arrays)

    def labelled(self, column: int) -> Labelled:
        """Those that were judged for a column, as the wide part learns from them."""
        known = np.flatnonzero(np.isfinite(self.targets[:, column]))
        y = (self.targets[known, column] >= 0.5).astype(np.float64)
        return Labelled(self.surface.take(known), y, self.weights[known, column], self.corpus.groups[known])

    def without_harmless(self, *columns: int) -> "Notes":
        """The same, the harmless notes unknown for some columns."""
        targets = self.targets.copy()
        targets[np.ix_(self.corpus.splits == HARMLESS, columns)] = np.nan
        return replace(self, targets=targets)

    def windows(self) -> Windows:
        """What a tower reads of them."""
        return Windows.of(self.arrays)

    def learning(self) -> Learning:
        """What a tower learns of them."""
        return Learning(self.windows(), self.targets, self.weights)


def train_quality(config: QualityConfig, corpus: Corpus, checkpoint: Path, progress: Progress) -> QualityTraining:
    """Fit on the training notes; choose blend, calibration and thresholds on the notes to tune on.

    DataError where no label has enough notes of both kinds.
    """
    columns, left_out = columns_of(corpus, config)
    lexicons = Lexicons.load(config.lexicons)
    encoder = load_encoder(config.encoder)
    if encoder and encoder.max_tokens and encoder.max_tokens < config.tower.window_tokens:
        raise ConfigError(f"tower.window_tokens: {config.encoder} reads at most {encoder.max_tokens} tokens")
    reader = NoteReader(lexicons, encoder.tokenizer() if encoder else None, window_tokens=config.tower.window_tokens)
    progress("reading the notes", 0, 1)
    learn, tune, harmless = (
        Notes.read(corpus.split(*names), columns, reader) for names in ((TRAIN, HARMLESS), (DEV,), (HARMLESS,))
    )
    wide, choices, learns_harmless = _fit_wides(learn, tune, columns, progress)
    learn = learn.without_harmless(*(place for place, learns in enumerate(learns_harmless) if not learns))
    tower = None
    if encoder:
        plan = TowerPlan(config.tower, config.seed, checkpoint)
        tower = fit_tower(encoder, learn.learning(), tune.learning(), plan, progress)
    blends = _fit_blends(tune, _logits(wide, tower, tune), columns, _logits(wide, tower, harmless))
    parts = QualityParts(
        wide,
        _side_by_side(blends),
        tower.deep_part() if tower else None,
        _embedding(tower, learn.windows().first(), config.seed) if tower else None,
    )
    names = [column.name for column in columns]
    model = QualityModel(_settings(config, columns, [one.threshold for one in blends]), columns, parts, tower, lexicons)
    return QualityTraining(
        model,
        dict(zip(names, choices, strict=True)),
        dict(zip(names, blends, strict=True)),
        left_out,
    )


def _logits(wide: WidePart, tower: Tower | None, notes: Notes) -> Logits:
    deep = deep_logits(tower, notes.windows()) if tower and len(notes.corpus) else None
    return Logits(wide_logits(wide, notes.surface), deep)


def _fit_wides(
    learn: Notes, tune: Notes, columns: Sequence[Column], progress: Progress
) -> tuple[WidePart, list[Choice], list[bool]]:
    """The wide parts, what was chosen for each, and whether it learns from harmless notes.

    It does where they cost it no more than ``MAX_AUC_LOST`` on the notes to tune on.
    """
    scale = SignalScale.of(learn.surface.signals)
    wides, learns_harmless = [], []
    for place, column in enumerate(columns):
        progress(f"fitting the n-grams of {column.name}", place, len(columns))
        labelled = tune.labelled(place)
        own = fit_wide(learn.without_harmless(place).labelled(place), labelled, scale)
        both = refit(learn.labelled(place), own.choice, scale)
        before, after = (float(auc(labelled.y, _logit(one, labelled, scale))[0]) for one in (own, both))
        learns_harmless.append(after >= before - MAX_AUC_LOST)
        wides.append(both if learns_harmless[-1] else own)
    return stacked(wides, scale), [one.choice for one in wides], learns_harmless


def _logit(wide: Wide, notes: Labelled, scale: SignalScale) -> Floats:
    return wide_logits(stacked([wide], scale), notes.surface)[:, 0]


def _fit_blends(tune: Notes, logits: Logits, columns: Sequence[Column], guard: Logits) -> list[ColumnBlend]:
    """A blend a column; ``guard`` are the logits of clean notes that few flags may fall on."""
    blends = []
    for place, column in enumerate(columns):
        known = np.isfinite(tune.targets[:, place])
        own = Tuning(
            y=(tune.targets[known, place] >= 0.5).astype(np.float64),
            weights=tune.weights[known, place],
            parts=logits.of(place, known),
            clean=guard.of(place) if column.settings.kind == LabelKind.HARM else None,
        )
        blends.append(fit_blend(own, column.settings.precision))
    return blends


def _side_by_side(blends: Sequence[ColumnBlend]) -> Blend:
    return Blend(
        **{
            name: np.array([getattr(one, name) for one in blends], np.float32)
            for name in ("deep_weight", "deep_spread", "wide_spread", "slope", "intercept")
        }
    )


def _settings(config: QualityConfig, columns: Sequence[Column], thresholds: Sequence[float]) -> QualitySettings:
    labels = tuple(
        Label(column.label, LabelKind(column.settings.kind), threshold, column.settings.precision)
        for column, threshold in zip(columns, thresholds, strict=True)
        if column.cut is None
    )
    window_tokens = None if config.encoder == "none" else config.tower.window_tokens
    return QualitySettings(labels, config.encoder, window_tokens, config.promote_from, config.limit_below)


def _embedding(tower: Tower, ids: Sequence[Ids], seed: int) -> Embedding:
    """The axes along which what the encoder says of training notes differs most; of few, the rest are zero."""
    rows = np.random.default_rng(seed).permutation(len(ids))[:MAX_EMBEDDED]
    vectors = pooled(tower, [ids[row] for row in rows])
    mean = vectors.mean(axis=0)
    _, _, main = np.linalg.svd(vectors - mean, full_matrices=False)
    axes = np.zeros((EMBEDDING_DIM, vectors.shape[1]), np.float32)
    axes[: len(main)] = main[:EMBEDDING_DIM]
    return Embedding(mean.astype(np.float32), axes.T.copy())

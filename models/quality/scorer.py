"""Scores notes with a released quality model: label probabilities, a quality score, a vector, words that counted."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from features.errors import DataError
from features.text.aligned import Span
from features.text.findings import Field
from features.text.lexicons import NAMES, Lexicons
from features.text.normalise import folded_chars, folded_start
from features.text.segment import segment
from features.text.signals import Signals
from models.bundle import Bundle, canonical_json
from models.errors import BundleError
from models.quality.reading import NoteReader, NoteText
from models.quality.settings import EMBEDDING, PROBABILITY, QUALITY, QualitySettings
from models.runtime import OnnxRunner, verify_golden

TOKENIZER: Final = "tokenizer.json"
EXAMPLES: Final = "examples.json"

_FIELDS: Final[tuple[Field, ...]] = ("title", "body")

_MAX_WORDS: Final[Mapping[Field, int]] = {"title": 16, "body": 48}
"""How many words of a field are tried when its words are attributed: the first."""

_MAX_CHARS: Final = 500
"""How much of a note is read then, title and body together: each word costs a score."""


@dataclass(frozen=True, slots=True, eq=False)
class QualityScores:
    """Per note, in order: probability by label (n, n_labels), quality 0 to 100 (n,), and what its surface shows.

    ``embedding`` is (n, 128) float32 of norm 1, None of a model without a tower.
    """

    probability: npt.NDArray[np.float32]
    quality: npt.NDArray[np.float32]
    embedding: npt.NDArray[np.float32] | None
    signals: Sequence[Signals]


class WordAttribution(NamedTuple):
    """A word of the original text, and by how much it raises the logit of a label: without it, the logit is lower."""

    field: Field
    span: Span
    contribution: float


class Example(NamedTuple):
    """A synthetic note with what the model said of it when it was exported."""

    note: NoteText
    probability: Sequence[float]
    quality: float


def encode_examples(examples: Sequence[Example]) -> bytes:
    """Examples as they travel in a bundle."""
    return canonical_json([{**one._asdict(), "note": one.note._asdict()} for one in examples])


class QualityScorer:
    """A quality model ready to answer; ``score`` may be called by several threads.

    Raises ContractError for a bundle this code can't serve, BundleError for one whose files are not whole, or that
    reads or scores its examples otherwise than when it was exported.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.settings = QualitySettings.of(bundle.contract)
        self.runner = OnnxRunner(bundle)
        self._reader = _reader(bundle.files, self.settings)
        verify_golden(self.runner, bundle)
        self._verify_examples(bundle)

    def score(self, notes: Sequence[NoteText]) -> QualityScores:
        """Score notes, one after the other: in 8 bits, what stands beside a note in a run would change its last digits.

        On one thread a run of many is no more than a third faster.
        """
        read = [self._reader.read([note]) for note in notes]
        outputs = [self.runner.run(one.arrays) for one in read]
        whole = {
            tensor.name: np.concatenate(
                [np.empty((0, tensor.shape[1] or 0), np.float32), *(one[tensor.name] for one in outputs)]
            )
            for tensor in self.settings.outputs
        }
        signals = [one for part in read for one in part.signals]
        return QualityScores(whole[PROBABILITY], whole[QUALITY][:, 0], whole.get(EMBEDDING), signals)

    def attribute(self, note: NoteText, labels: Sequence[int]) -> list[list[WordAttribution]]:
        """Per label, what each of the first words of a note adds to its logit, the heaviest first.

        By leaving each word out (occlusion, Zeiler and Fergus 2014); of a note, the first 500 characters are read, as
        written and once folded, without the rest. Takes as many scores as there are words.
        """
        title = folded_start(note.title, _MAX_CHARS)
        left = _MAX_CHARS - max(len(title), folded_chars(title))
        note = NoteText(title, folded_start(note.body, left))
        words = [(field, span) for field, span in self._words(note) if span.end > span.start]
        without = [_without(note, field, span) for field, span in words]
        probability = self.score([note, *without]).probability[:, labels].astype(np.float64).clip(1e-6, 1 - 1e-6)
        logit = np.log(probability) - np.log1p(-probability)
        return [
            sorted(
                (WordAttribution(*word, float(by)) for word, by in zip(words, own[0] - own[1:], strict=True)),
                key=lambda one: -abs(one.contribution),
            )
            for own in logit.T
        ]

    def _words(self, note: NoteText) -> Iterator[tuple[Field, Span]]:
        (signals,) = self._reader.read([note]).signals
        for name, field in zip(_FIELDS, signals.note.fields, strict=True):
            at, n_words = 0, 0
            for word in segment(field.normalised.text):
                start, at = at, at + len(word)
                if word.strip() and n_words < _MAX_WORDS[name]:
                    n_words += 1
                    yield name, field.normalised.original_span(start, at)

    def _verify_examples(self, bundle: Bundle) -> None:
        try:
            examples = json.loads(bundle.files[EXAMPLES])
            notes = [NoteText(**one["note"]) for one in examples]
            expected = np.array([[*one["probability"], one["quality"] / 100] for one in examples])
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"{EXAMPLES} can't be read: {error!r}") from error
        scores = self.score(notes)
        actual = np.column_stack([scores.probability, scores.quality / 100])
        if actual.shape != expected.shape:
            raise BundleError(f"{EXAMPLES}: scores of shape {actual.shape}, expected {expected.shape}")
        off = float(np.abs(actual - expected).max(initial=0))
        if not off <= bundle.golden.tolerance:
            raise BundleError(f"{EXAMPLES}: notes are read otherwise than in training: off by {off:.3g}")


def _reader(files: Mapping[str, bytes], settings: QualitySettings) -> NoteReader:
    try:
        lexicons = Lexicons.from_files({f"{name}.txt": files[f"{name}.txt"] for name in NAMES})
        if settings.window_tokens is None:
            return NoteReader(lexicons, None, window_tokens=0)
        tokenizer = Tokenizer.from_buffer(files[TOKENIZER])
        return NoteReader(lexicons, tokenizer, window_tokens=settings.window_tokens)
    except (DataError, KeyError) as error:
        raise BundleError(f"what reads notes is not whole: {error}") from error
    except Exception as error:  # tokenizers raises a bare Exception for what it can't parse
        raise BundleError(f"{TOKENIZER} can't be read: {error}") from error


def _without(note: NoteText, field: str, span: Span) -> NoteText:
    text: str = getattr(note, field)
    return note._replace(**{field: text[: span.start] + text[span.end :]})

"""What a quality model needs said beside its tensors: its labels and how it reads; travels in the bundle's contract."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final, Self

from features.ngrams import NGRAMS as NGRAMS_VERSION
from features.text.normalise import NORMALISER
from features.text.segment import SEGMENTER
from features.text.signals import N_SIGNALS
from features.text.signals import SIGNALS as SIGNAL_CATALOGUE
from models.contract import Contract, Tensor
from models.errors import ContractError
from models.quality.reading import IDS, MASK, NGRAM_COUNTS, NGRAM_NOTE, NGRAMS, SIGNALS, WINDOW_NOTE

TASK: Final = "quality"

PROBABILITY: Final = "probability"
QUALITY: Final = "quality"
EMBEDDING: Final = "embedding"
EMBEDDING_DIM: Final = 128


class LabelKind(StrEnum):
    """What a label means for a note; a ``neutral`` one decides nothing and does not count in the quality score."""

    HARM = "harm"
    MERIT = "merit"
    NEUTRAL = "neutral"


@dataclass(frozen=True, slots=True)
class Label:
    """A label that the model gives: it is flagged from ``threshold`` on, where tuning notes showed ``precision``."""

    name: str
    kind: LabelKind
    threshold: float
    precision: float

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Self:
        """The label that ``asdict`` wrote."""
        return cls(str(data["name"]), LabelKind(data["kind"]), float(data["threshold"]), float(data["precision"]))


READING: Final[Mapping[str, Any]] = {
    "normaliser": NORMALISER,
    "segmenter": SEGMENTER,
    "ngrams": NGRAMS_VERSION,
    "signals": [signal.name for signal in SIGNAL_CATALOGUE],
}
"""How this version of the code reads notes: a model that was trained on another reading can't be served by it."""


@dataclass(frozen=True, slots=True)
class QualitySettings:
    """The settings of a quality model; ``window_tokens`` is None for one without a tower.

    A note may be promoted whose quality is at least ``promote_from``, and is limited where it is below ``limit_below``.
    """

    labels: tuple[Label, ...]
    encoder: str
    window_tokens: int | None
    promote_from: float
    limit_below: float

    def contract(self) -> Contract:
        """The bundle contract of a model with these settings."""
        settings = {**asdict(self), "labels": [asdict(one) for one in self.labels], "reading": dict(READING)}
        return Contract(TASK, self.inputs, self.outputs, settings)

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What the graph takes: see ``NoteReader.read``."""
        windows = (IDS, (None, None)), (MASK, (None, None)), (WINDOW_NOTE, (None,))
        tower = tuple(Tensor(name, "int64", shape) for name, shape in windows) if self.window_tokens else ()
        ngrams = Tensor(NGRAMS, "int64", (None,)), Tensor(NGRAM_COUNTS, "float32", (None,))
        return (*tower, *ngrams, Tensor(NGRAM_NOTE, "int64", (None,)), Tensor(SIGNALS, "float32", (None, N_SIGNALS)))

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """What the graph gives, a row a note: probability by label, quality 0 to 100, and with a tower a vector."""
        vector = (Tensor(EMBEDDING, "float32", (None, EMBEDDING_DIM)),) if self.window_tokens else ()
        probability = Tensor(PROBABILITY, "float32", (None, len(self.labels)))
        return (probability, Tensor(QUALITY, "float32", (None, 1)), *vector)

    @classmethod
    def of(cls, contract: Contract) -> Self:
        """The settings in a contract; ContractError for another task, another reading, or values that don't fit."""
        if contract.task != TASK:
            raise ContractError(f"the bundle's task is {contract.task}, expected {TASK}")
        settings, reading = cls._parse(contract.settings), contract.settings.get("reading")
        if reading != READING:
            raise ContractError(f"the model reads notes by {reading}, this version by {dict(READING)}: train it anew")
        if (contract.inputs, contract.outputs) != (settings.inputs, settings.outputs):
            raise ContractError("the contract's tensors don't fit its labels and its tower")
        return settings

    @classmethod
    def _parse(cls, data: Mapping[str, Any]) -> Self:
        try:
            settings = cls(
                tuple(Label.parse(one) for one in data["labels"]),
                str(data["encoder"]),
                None if data["window_tokens"] is None else int(data["window_tokens"]),
                float(data["promote_from"]),
                float(data["limit_below"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ContractError(f"not a quality model's settings: {error!r}") from error
        names = [one.name for one in settings.labels]
        if not names or len(set(names)) < len(names):
            raise ContractError("a quality model needs labels, each named once")
        return settings

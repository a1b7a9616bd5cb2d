"""Vectors of notes as they are kept: a unit vector in one byte a dimension, the same in training and at serving."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from models.recommend.histories import Ints

Vectors = npt.NDArray[np.int8]
UnitVectors = npt.NDArray[np.float32]

DIMENSIONS: Final = 128
"""How long a note's vector is: its embedding (``models.quality.scorer.QualityScores.embedding``), and its factors."""

_ONE: Final = 127


def quantised(embedding: UnitVectors) -> Vectors:
    """Embeddings (n, 128), each scaled so that its largest component is 127; zero stays zero."""
    largest = np.abs(embedding).max(axis=1, keepdims=True, initial=1e-12)
    bytes_: Vectors = np.rint(embedding * (_ONE / largest)).astype(np.int8)
    return bytes_


def inverse_norms(vectors: Vectors) -> npt.NDArray[np.float32]:
    """One over each vector's norm; 0 for zero."""
    wide = vectors.astype(np.float32)
    squared = np.einsum("nd,nd->n", wide, wide)
    return np.where(squared > 0, 1 / np.sqrt(np.maximum(squared, np.float32(1))), np.float32(0)).astype(np.float32)


def unit(vectors: Vectors) -> UnitVectors:
    """What was quantised, as float32 of norm 1; zero stays zero."""
    return vectors.astype(np.float32) * inverse_norms(vectors)[:, None]


@dataclass(frozen=True, slots=True, eq=False)
class NoteVectors:
    """Vectors of the notes by number, (n_notes, 128); zero for a note of which nothing is known."""

    vectors: Vectors

    @classmethod
    def none(cls, n_notes: int) -> "NoteVectors":
        """Of notes of which nothing is known."""
        return cls(np.zeros((n_notes, DIMENSIONS), np.int8))

    def __len__(self) -> int:
        return len(self.vectors)

    def unit_vectors(self, numbers: Ints) -> UnitVectors:
        """Those of some notes as float32 of norm 1; zero for a note without one, and for a later note."""
        vectors = np.zeros((len(numbers), DIMENSIONS), np.float32)
        known = numbers < len(self)
        vectors[known] = unit(self.vectors[numbers[known]])
        return vectors

"""The notes nearest to a vector: by comparing with all, or by a graph (HNSW, of usearch) where they are many."""

from threading import Lock
from typing import Final

import numpy as np
import numpy.typing as npt

import models.runtime  # noqa: F401 (usearch loaded before ONNX Runtime crashes it)
from models.recommend.histories import Ints
from models.recommend.vectors import DIMENSIONS, UnitVectors, Vectors, quantised

EXACT_UP_TO: Final = 100_000
"""Notes, up to which all are compared."""

NOBODY: Final = -1
"""The number that stands where there are fewer notes than were asked for."""

_BLOCK: Final = 1_024
"""Rows that fit a core's cache as float32."""
_CONNECTIVITY: Final = 16
_EXPANSION_ADD: Final = 128
_EXPANSION_SEARCH: Final = 600
"""Finds 99 of the 100 nearest among a million; 160 found 87, hardly faster."""

Cosines = npt.NDArray[np.float32]


def nearest_of_all(
    vectors: Vectors, inverse_norm: npt.NDArray[np.float32], wanted: UnitVectors, *, n: int
) -> tuple[Ints, Cosines]:
    """Per wanted vector, the ``n`` nearest notes and their cosines, descending; ``NOBODY`` and -1 past the last.

    ``inverse_norm`` is 0 for a note without a vector, which is near to nothing.
    """
    products, wide = np.empty((len(vectors), len(wanted)), np.float32), np.empty((_BLOCK, DIMENSIONS), np.float32)
    columns = np.ascontiguousarray(wanted.T)
    for first in range(0, len(vectors), _BLOCK):
        block = vectors[first : first + _BLOCK]
        wide[: len(block)] = block
        np.matmul(wide[: len(block)], columns, out=products[first : first + _BLOCK])
    cosine = np.ascontiguousarray(products.T)
    cosine *= inverse_norm
    cosine[:, inverse_norm == 0] = -2
    n_found = min(n, len(vectors))
    best = np.argpartition(cosine, len(vectors) - n_found, axis=1)[:, len(vectors) - n_found :]
    order = np.argsort(-np.take_along_axis(cosine, best, axis=1), axis=1, kind="stable")
    numbers = np.take_along_axis(best, order, axis=1)
    return _padded(numbers, np.take_along_axis(cosine, numbers, axis=1), n)


class NearestGraph:
    """Finds nearly all of the nearest in a time that hardly grows with the notes (Malkov and Yashunin 2020)."""

    def __init__(self, vectors: Vectors, inverse_norm: npt.NDArray[np.float32]) -> None:
        from usearch.index import Index  # few servers have so many notes

        self._index = Index(
            ndim=DIMENSIONS, metric="cos", dtype="i8", connectivity=_CONNECTIVITY,
            expansion_add=_EXPANSION_ADD, expansion_search=_EXPANSION_SEARCH,
        )  # fmt: skip
        self._lock = Lock()
        numbers = np.flatnonzero(inverse_norm)
        self._index.add(numbers, vectors[numbers], threads=1)

    def put(self, number: int, vector: Vectors | None) -> None:
        """Let a note be found by a vector, in place of the one before; None: by none."""
        with self._lock:
            if number in self._index:
                self._index.remove(number)
            if vector is not None:
                self._index.add(number, vector)

    def near(self, wanted: UnitVectors, *, n: int) -> tuple[Ints, Cosines]:
        """See ``nearest_of_all``."""
        with self._lock:
            found = self._index.search(quantised(wanted), n, threads=1)
        numbers = np.asarray(found.keys).astype(np.int64).reshape(len(wanted), -1)
        return _padded(numbers, 1 - np.asarray(found.distances, np.float32).reshape(len(wanted), -1), n)


def _padded(numbers: Ints, cosine: Cosines, n: int) -> tuple[Ints, Cosines]:
    """Rows of length ``n``, what is no note's marked."""
    all_numbers = np.full((len(numbers), n), NOBODY, np.int64)
    all_cosines = np.full((len(numbers), n), -1, np.float32)
    is_note = cosine > -1.5
    all_numbers[:, : numbers.shape[1]] = np.where(is_note, numbers, NOBODY)
    all_cosines[:, : numbers.shape[1]] = np.where(is_note, cosine, -1)
    return all_numbers, all_cosines

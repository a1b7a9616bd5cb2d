"""What a note adds to those just shown: by sliding spectrum decomposition, or by maximal marginal relevance."""

from collections import deque
from enum import StrEnum
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from models.recommend.vectors import UnitVectors

Gains = npt.NDArray[np.float32]

_NOTHING_NEW: Final = np.float32(1e-6)


class Method(StrEnum):
    """How diversity is measured."""

    SPECTRUM = "spectrum"
    MARGINAL = "marginal"


class Diversity(Protocol):
    """Says, again and again, what each of some notes would add to the window of those shown last."""

    def gains(self) -> Gains:
        """What each note adds, shape (n,): 1 for one unlike all in the window, less the more alike."""
        ...

    def show(self, note: int) -> None:
        """Take a note into the window; what was shown ``window`` notes before leaves it."""
        ...


class SlidingSpectrum:
    """Sliding spectrum decomposition (Huang et al. 2021, arXiv 2107.05204, algorithm 1).

    A note adds to the volume that the window's vectors span by the length of the part of its vector that is orthogonal
    to them all. As a note leaves the window, its part is given back. Computed on the inner products of the vectors, as
    greedy inference of a determinantal process is (Chen et al. 2018, arXiv 1709.05135).
    """

    def __init__(self, vectors: UnitVectors, *, window: int) -> None:
        self._products = _products(vectors)
        self._squared = np.ones(len(vectors), np.float32)  # of the orthogonal part
        self._parts: deque[Gains] = deque()  # along the axis that each note in the window added
        self._length = window

    def gains(self) -> Gains:
        """See ``Diversity``."""
        return np.sqrt(np.maximum(self._squared, np.float32(0)))

    def show(self, note: int) -> None:
        """See ``Diversity``."""
        if len(self._parts) >= self._length:
            self._squared += np.square(self._parts.popleft())
        residual = self._products[note].copy()
        for parts in self._parts:
            residual -= parts[note] * parts
        squared = self._squared[note]
        parts = residual / np.sqrt(squared) if squared > _NOTHING_NEW else np.zeros_like(residual)
        self._squared -= np.square(parts)
        self._parts.append(parts)


class MarginalRelevance:
    """Maximal marginal relevance (Carbonell and Goldstein 1998): one less the greatest cosine with the window."""

    def __init__(self, vectors: UnitVectors, *, window: int) -> None:
        self._products = _products(vectors)
        self._window: deque[int] = deque(maxlen=window)

    def gains(self) -> Gains:
        """See ``Diversity``."""
        if not self._window:
            return np.ones(len(self._products), np.float32)
        most_alike: Gains = self._products[list(self._window)].max(axis=0)
        return 1 - np.maximum(most_alike, np.float32(0))

    def show(self, note: int) -> None:
        """See ``Diversity``."""
        self._window.append(note)


def open_diversity(method: Method, vectors: UnitVectors, *, window: int) -> Diversity:
    """The measure of a name over notes with these vectors, zero for one that is unknown and so like nothing."""
    kind = SlidingSpectrum if method is Method.SPECTRUM else MarginalRelevance
    return kind(vectors, window=window)


def _products(vectors: UnitVectors) -> npt.NDArray[np.float32]:
    products: npt.NDArray[np.float32] = vectors @ vectors.T
    np.fill_diagonal(products, 1)
    return products

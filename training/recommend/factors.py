"""Notes as vectors that lie near where the same users take them up.

The positive pointwise mutual information of notes in one history, by its largest singular values (Levy and Goldberg
2014: what word2vec does to words). Pairs weigh by how near their steps are; contexts are smoothed by the power .75.
Where two notes were never taken up by one user but by users alike, neighbours say nothing and factors do.
"""

from typing import Final

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import svds

from models.recommend.vectors import DIMENSIONS, NoteVectors, quantised
from training.recommend.neighbours import NeighbourSettings, Pairs

_TOGETHER: Final = NeighbourSettings(
    lag_power=0.4, length_power=0, backward=1, from_power=0, to_power=0, smoothing=0, decay=0
)
"""What lies near in a history, whichever comes first, however often each note occurs: weights, no similarities."""
_CONTEXT_POWER: Final = 0.75


def note_factors(pairs: Pairs) -> NoteVectors:
    """The factors of the notes; zero for those that are in no pair, which change nothing for the others."""
    together = pairs.similarity(_TOGETHER)
    n_notes, paired = together.shape[0], np.flatnonzero(np.diff(together.indptr))
    information = _information(together[paired][:, paired])
    n_factors = min(DIMENSIONS, len(paired) - 1)
    if n_factors < 1 or not information.nnz:
        return NoteVectors.none(n_notes)
    left, values, _ = svds(information, k=n_factors, v0=np.ones(len(paired)), solver="arpack")
    factors = np.zeros((n_notes, DIMENSIONS), np.float32)
    factors[paired, :n_factors] = left * np.sqrt(values)
    return NoteVectors(quantised(factors))


def _information(together: sparse.csr_array) -> sparse.csr_array:
    """How much likelier two notes are together than by chance, in nats; what is not likelier is left out."""
    of_note = np.asarray(together.sum(axis=1)).ravel()
    of_context = of_note**_CONTEXT_POWER
    row = np.repeat(np.arange(together.shape[0]), np.diff(together.indptr))
    expected = of_note[row] * of_context[together.indices] / of_context.sum()
    information = sparse.csr_array(
        (np.log(together.data / expected), together.indices, together.indptr), together.shape
    )
    information.data = np.maximum(information.data, 0)
    information.eliminate_zeros()
    return information

"""Which notes follow which: asymmetric item-to-item neighbours.

Two steps of a user, ``lag`` apart (at most 60), make a pair that weighs lag ** -lag_power * length ** -length_power.
F[i, j] sums the pairs in which i comes before j; with M = F + backward * F', zero on the diagonal, and n the notes'
numbers of steps, the similarity is M[i, j] / ((n_i + smoothing) ** from_power * (n_j + smoothing) ** to_power).
A low ``to_power`` favours what is popular: on sparse logs that is the largest gain over a cosine.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.recommend.histories import Histories
from models.recommend.sources import NeighbourSource, NeighbourTable
from training.recommend.ranking import Score, Scores
from training.recommend.sequences import Ints

Floats = npt.NDArray[np.float64]

MAX_LAG: Final = 60
_HOP: Final = 40
"""How many neighbours a hop may go on to."""


@dataclass(frozen=True, slots=True)
class NeighbourSettings:
    """The exponents of the module's formula; ``decay`` weighs a user's latest notes, see ``NeighbourSource``."""

    lag_power: float
    length_power: float
    backward: float
    from_power: float
    to_power: float
    smoothing: float
    decay: float


START: Final = NeighbourSettings(
    lag_power=0.4, length_power=0.0, backward=0.3, from_power=0.5, to_power=0.3, smoothing=3.0, decay=1.0
)
GRID: Final[Mapping[str, tuple[float, ...]]] = {
    "to_power": (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6),
    "decay": (0.25, 0.5, 0.75, 1.0, 1.25, 1.5),
    "lag_power": (0.0, 0.15, 0.25, 0.4, 0.5, 0.75, 1.0, 1.5),
    "smoothing": (0.0, 1.0, 3.0, 10.0, 30.0),
    "backward": (0.0, 0.15, 0.3, 0.6, 1.0),
    "from_power": (0.3, 0.4, 0.5, 0.6, 0.7),
    "length_power": (0.0, 0.25, 0.5),
}
"""What is tried, in order of what it is worth; each holds the value of ``START``."""

MAX_EVALUATIONS: Final = 30

SHARP: Final = NeighbourSettings(1.5, 0, 0, 0.5, 0.3, 3, 1.5)
"""What came right after."""
COSINE: Final = NeighbourSettings(0, 0.5, 1, 0.5, 0.5, 1, 0.5)
"""What is liked together, in any order."""
FORWARD: Final = NeighbourSettings(0.5, 0, 0, 0.5, 0.5, 3, 1.0)
"""What came some time after; transposed, what came before."""
COUNT: Final = NeighbourSettings(0, 0, 1, 0, 0, 0, 0)
"""How often both are in one history: how sure it is that they belong together."""


class Pairs:
    """The pairs in some users' steps, and each note's number of steps ``n_steps``."""

    def __init__(self, known: Histories, n_notes: int) -> None:
        self.n_steps = np.bincount(known.notes, minlength=n_notes).astype(np.float64)
        rows = known.rows
        found = [pairs_at(known.notes, rows, lag) for lag in range(1, MAX_LAG + 1)]
        self._before = np.concatenate([before for before, _, _ in found])
        self._after = np.concatenate([after for _, after, _ in found])
        self._length = known.lengths[np.concatenate([row for _, _, row in found])].astype(np.float64)
        self._lag = np.repeat(np.arange(1.0, MAX_LAG + 1), [len(row) for _, _, row in found])
        self._forward: dict[tuple[float, float], sparse.csr_array] = {}

    def similarity(self, settings: NeighbourSettings) -> sparse.csr_array:
        """The similarities, shape (n_notes, n_notes), row: the note known."""
        forward = self._weighed(settings.lag_power, settings.length_power)
        both = (forward + settings.backward * forward.T).tocsr() if settings.backward else forward.copy()
        n = self.n_steps + max(settings.smoothing, 1e-9)
        row = np.repeat(np.arange(len(n)), np.diff(both.indptr))
        both.data /= n[row] ** settings.from_power * n[both.indices] ** settings.to_power
        return both

    def _weighed(self, lag_power: float, length_power: float) -> sparse.csr_array:
        """F; it is kept, since most settings share it."""
        if (key := (lag_power, length_power)) not in self._forward:
            weight = self._lag**-lag_power * self._length**-length_power
            n_notes = len(self.n_steps)
            summed = sparse.coo_array((weight, (self._before, self._after)), shape=(n_notes, n_notes)).tocsr()
            self._forward[key] = summed
        return self._forward[key]


def two_hops(similarity: sparse.csr_array) -> sparse.csr_array:
    """Neighbours of neighbours: rows cut to the strongest, normalised to sum 1, and squared; zero on the diagonal."""
    step = strongest(similarity, _HOP)
    step.data /= np.repeat(np.maximum(step.sum(axis=1), 1e-12), np.diff(step.indptr))
    squared = (step @ step).tocsr()
    squared.setdiag(0)
    squared.eliminate_zeros()
    return squared


def strongest(matrix: sparse.csr_array, n: int) -> sparse.csr_array:
    """Each row's ``n`` largest values, descending."""
    chosen = [np.empty(0, np.int64)]
    for start, end in itertools.pairwise(matrix.indptr.tolist()):
        values = matrix.data[start:end]
        best = np.argpartition(-values, n)[:n] if len(values) > n else np.arange(len(values))
        chosen.append(start + best[np.argsort(-values[best], kind="stable")])
    kept = np.concatenate(chosen)
    indptr = np.concatenate([[0], np.cumsum(np.minimum(np.diff(matrix.indptr), n))])
    return sparse.csr_array((matrix.data[kept], matrix.indices[kept], indptr), shape=matrix.shape)


def neighbour_table(similarity: sparse.csr_array, n_neighbours: int) -> NeighbourTable:
    """The similarities as a table of each note's strongest neighbours."""
    cut = strongest(similarity, n_neighbours)
    n_notes = cut.shape[0]
    row = np.repeat(np.arange(n_notes), np.diff(cut.indptr))
    place = np.arange(len(row)) - cut.indptr[row]
    notes = np.zeros((n_notes, n_neighbours), np.uint16 if n_notes <= 2**16 else np.uint32)
    weights = np.zeros((n_notes, n_neighbours), np.float32)
    notes[row, place], weights[row, place] = cut.indices, cut.data
    return NeighbourTable(notes, weights)


def history_weights(histories: Histories, n_notes: int, decay: float) -> sparse.csr_array:
    """How much each note of a user's history counts, shape (n_users, n_notes)."""
    latest = histories.latest
    weight = (latest.age + 1.0) ** -decay
    shape = (len(histories), n_notes)
    return sparse.coo_array((weight.astype(np.float32), (latest.row, latest.note)), shape=shape).tocsr()


def pairs_at(notes: Ints, rows: Ints, lag: int) -> tuple[Ints, Ints, Ints]:
    """(before, after, user) of the steps that lie ``lag`` apart and are not of one note."""
    before, after, row = notes[:-lag], notes[lag:], rows[lag:]
    kept = (rows[:-lag] == row) & (before != after)
    return before[kept].astype(np.int32), after[kept].astype(np.int32), row[kept]


def neighbour_source(name: str, similarity: sparse.csr_array, *, n_neighbours: int, decay: float) -> NeighbourSource:
    """A source that reads the strongest similarities."""
    return NeighbourSource(name, neighbour_table(similarity, n_neighbours), decay)


def neighbour_scores(similarity: sparse.csr_array, decay: float) -> Score:
    """Scores over all notes from whole similarities, not only the strongest."""
    narrow = similarity.astype(np.float32)

    def score(histories: Histories) -> Scores:
        scores: Scores = (history_weights(histories, narrow.shape[0], decay) @ narrow).toarray()
        scores[scores == 0] = -np.inf
        return scores

    return score

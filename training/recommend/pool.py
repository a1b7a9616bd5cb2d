"""Makes the pool of a cut: sources, statistics and factors, of which nothing knows what came from the cut on."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy import sparse

from models.recommend.candidates import NoteStatistics, Pool
from models.recommend.catalogue import Catalogue
from models.recommend.histories import Histories
from models.recommend.sequence import SequenceSource
from models.runtime import open_session
from training.recommend.cuts import Cut
from training.recommend.factors import note_factors
from training.recommend.neighbours import (
    COSINE,
    COUNT,
    FORWARD,
    SHARP,
    NeighbourSettings,
    Pairs,
    neighbour_source,
    two_hops,
)
from training.recommend.standing import note_standing

LATE: Final = 3
"""A user's latest steps, in which ``lateness`` looks for a note."""


@dataclass(frozen=True, slots=True, eq=False)
class Ingredients:
    """What a pool is made of beside a cut: the neighbours' settings and number, what notes say, a sequence model."""

    neighbours: NeighbourSettings
    n_neighbours: int
    catalogue: Catalogue | None = None
    sequence: SequenceSource | None = None

    def with_sequence(self, graph: bytes | None, n_notes: int) -> "Ingredients":
        """These and a sequence model, where there is one; it knows the first ``n_notes`` notes."""
        return replace(self, sequence=SequenceSource(open_session(graph), n_notes)) if graph else self


def build_pool(cut: Cut, made: Ingredients) -> tuple[sparse.csr_array, Pool]:
    """The tuned similarities, whole, and the pool as of a cut: nothing from the cut on is in them. What notes say has
    no time.
    """
    pairs = Pairs(cut.known, cut.n_notes)
    tuned = pairs.similarity(made.neighbours)
    sources = tuple(
        neighbour_source(name, similarity, n_neighbours=made.n_neighbours, decay=decay)
        for name, similarity, decay in _similarities(pairs, tuned, made.neighbours.decay)
    )
    statistics = note_statistics(cut.known, cut.n_notes)
    return tuned, Pool(sources, statistics, note_factors(pairs), made.sequence, made.catalogue)


def _similarities(
    pairs: Pairs, tuned: sparse.csr_array, tuned_decay: float
) -> Iterator[tuple[str, sparse.csr_array, float]]:
    """Each source's name, similarities and decay, one after another: whole, those of a large log are large."""
    yield "similar", tuned, tuned_decay
    yield "next", pairs.similarity(SHARP), SHARP.decay
    together = pairs.similarity(COSINE)
    yield "together", together, COSINE.decay
    yield "two_hops", two_hops(tuned), tuned_decay
    yield "two_hops_together", two_hops(together), COSINE.decay
    yield "before", pairs.similarity(FORWARD).T.tocsr(), FORWARD.decay
    yield "often_together", pairs.similarity(COUNT), COUNT.decay


def note_statistics(known: Histories, n_notes: int) -> NoteStatistics:
    """Steps per note, the share of them in their users' latest three (one more of two, so that none is 0 or 1), and its
    standing.
    """
    latest, n_steps = known.latest, np.bincount(known.notes, minlength=n_notes).astype(np.float32)
    n_late = np.bincount(latest.note[latest.age < LATE], minlength=n_notes)
    lateness = ((n_late + 1) / (n_steps + 2)).astype(np.float32)
    return NoteStatistics(n_steps, lateness, note_standing(known, n_notes), np.zeros(n_notes, np.float32))

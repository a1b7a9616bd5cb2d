"""Which note of a user's history speaks most for a note they are shown."""

import numpy as np

from models.recommend.catalogue import Catalogue
from models.recommend.content import CONTENT
from models.recommend.histories import Histories
from models.recommend.scorer import RecommendScorer
from models.recommend.sources import NeighbourSource


def because(scorer: RecommendScorer, catalogue: Catalogue, history: Histories, note: int, source: str) -> int | None:
    """The note of one user's history to which the source owes most of what it says of a note; None where none is."""
    if source == CONTENT:
        return _most_alike(catalogue, history, note)
    for one in scorer.pool.behaviour:
        if one.name == source:
            return _strongest(one, history, note)
    return None


def _most_alike(catalogue: Catalogue, history: Histories, note: int) -> int | None:
    latest, shelf = history.latest.note, catalogue.shelf()
    cosines = shelf.unit_vectors(latest) @ shelf.unit_vectors(np.array([note]))[0]
    return int(latest[cosines.argmax()]) if cosines.any() else None


def _strongest(source: NeighbourSource, history: Histories, note: int) -> int | None:
    latest = history.below(len(source.table)).latest
    says = np.where(source.table.notes[latest.note] == note, source.table.weights[latest.note], 0).max(
        axis=1, initial=0
    )
    says *= np.power(latest.age + 1.0, -source.decay)
    return int(latest.note[says.argmax()]) if says.any() else None

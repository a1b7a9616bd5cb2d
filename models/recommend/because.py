"""Which note of a user's history speaks most for each note they are shown."""

from collections.abc import Sequence

import numpy as np

from models.recommend.catalogue import Catalogue
from models.recommend.content import CONTENT
from models.recommend.feed import FeedNote
from models.recommend.histories import Histories, Ints
from models.recommend.scorer import RecommendScorer
from models.recommend.sources import Floats, NeighbourSource


def because(
    scorer: RecommendScorer, catalogue: Catalogue, history: Histories, feed: Sequence[FeedNote]
) -> list[int | None]:
    """Per shown note, the note of one user's history to which its source owes most of what it says of it; None where
    none is.
    """
    history = scorer.heard(history)
    behaviour = {one.name: one for one in scorer.pool.behaviour}
    found: dict[int, int] = {}
    for name in {one.source for one in feed}:
        shown = np.array([one.number for one in feed if one.source == name])
        if name == CONTENT:
            note, says = _alike(catalogue, history, shown)
        elif name in behaviour:
            note, says = _contributions(behaviour[name], history, shown)
        else:
            continue
        if len(note):
            has_reason = says.any(axis=0)
            reason = note[says.argmax(axis=0)]
            found.update(zip(shown[has_reason].tolist(), reason[has_reason].tolist(), strict=True))
    return [found.get(one.number) for one in feed]


def _alike(catalogue: Catalogue, history: Histories, shown: Ints) -> tuple[Ints, Floats]:
    """The latest notes, and the cosine of each with each shown one, (n_latest, n_shown)."""
    note, shelf = history.latest.note, catalogue.shelf()
    return note, shelf.unit_vectors(note) @ shelf.unit_vectors(shown).T


def _contributions(source: NeighbourSource, history: Histories, shown: Ints) -> tuple[Ints, Floats]:
    """The latest notes of the table, and what each adds to the score of each shown one, (n_latest, n_shown)."""
    latest = history.latest.below(len(source.table))
    neighbours, weights = source.table.notes[latest.note], source.table.weights[latest.note]
    says: Floats = np.where(neighbours[:, :, None] == shown, weights[:, :, None], np.float32(0)).max(axis=1)
    return latest.note, says * np.power(latest.age + 1.0, -source.decay).astype(np.float32)[:, None]

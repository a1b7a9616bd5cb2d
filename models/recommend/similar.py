"""Notes like a note, for whoever looks at it: what people read beside it, then what says the like."""

from typing import NamedTuple

import numpy as np

from models.recommend.catalogue import Catalogue
from models.recommend.content import CONTENT
from models.recommend.rerank.arrange import may_be_shown
from models.recommend.scorer import RecommendScorer


class Similar(NamedTuple):
    """A note by number, who found it, and how strongly: not comparable between sources."""

    number: int
    source: str
    score: float


def similar_notes(
    scorer: RecommendScorer, catalogue: Catalogue, note: int, *, n: int, min_quality: float
) -> list[Similar]:
    """Up to ``n`` notes: neighbours by behaviour, strongest first, then the nearest by content."""
    shelf = catalogue.shelf()
    allowed = may_be_shown(shelf.withheld, shelf.quality, min_quality=min_quality)
    allowed[note] = False
    found = [*_by_behaviour(scorer, note), *_by_content(catalogue, note, n=2 * n)]
    first = {one.number: one for one in reversed(found) if one.number < len(shelf) and allowed[one.number]}
    return sorted(first.values(), key=lambda one: (one.source == CONTENT, -one.score))[:n]


def _by_behaviour(scorer: RecommendScorer, note: int) -> list[Similar]:
    source = scorer.pool.behaviour[0]
    if note >= len(source.table):
        return []
    pairs = zip(source.table.notes[note].tolist(), source.table.weights[note].tolist(), strict=True)
    return [Similar(number, source.name, weight) for number, weight in pairs if weight > 0]


def _by_content(catalogue: Catalogue, note: int, *, n: int) -> list[Similar]:
    vector = catalogue.shelf().unit_vectors(np.array([note]))
    if not vector.any():
        return []
    numbers, cosines = catalogue.near(vector, n=n)
    pairs = zip(numbers[0].tolist(), cosines[0].tolist(), strict=True)
    return [Similar(number, CONTENT, cosine) for number, cosine in pairs if number >= 0]

"""Candidates of those a cut asks, in one order and another: their figures, and boosts until the lists cover enough."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from models.recommend.candidates import Candidates, Pool
from models.recommend.histories import Histories, Ints
from models.recommend.sources import Floats
from training.recommend.cuts import Cut
from training.recommend.ranker import Order
from training.recommend.ranking import Figures, Score, Scores, blocks, exposure_of_blocks, judge_blocks

BOOST: Final = np.float32(0.1)
"""What a round adds to the score of a note that no list shows."""
MAX_ROUNDS: Final = 30
"""Rounds, at most, until coverage is the tuned neighbours'."""


def candidate_scores(pool: Pool, order: Order) -> Score:
    """Scores over all notes: those that are candidates get the order's."""

    def score(histories: Histories) -> Scores:
        found = pool.find(histories)
        return _spread(found, order(found.features), (len(histories), len(pool.statistics.n_events)))

    return score


class Shortlists:
    """The candidates of those a cut asks, found once, to be judged in one order and another."""

    def __init__(self, pool: Pool, cut: Cut) -> None:
        self._cut = cut
        self._found = [(pool.find(block), (len(block), cut.n_notes)) for block in blocks(cut)]

    def scores(self, order: Order) -> list[Floats]:
        """An order's scores, one array for each block of users."""
        return [order(found.features) for found, _ in self._found]

    def judge(self, scores: Sequence[Floats]) -> Figures:
        """The figures of scores such as ``scores`` gives."""
        return judge_blocks(self._spread(scores), self._cut)

    def boosted(self, scores: Sequence[Floats], boost: Floats) -> list[Floats]:
        """The scores, each note's boost added."""
        return [one + boost[found.note] for one, (found, _) in zip(scores, self._found, strict=True)]

    def exposure(self, scores: Sequence[Floats]) -> Ints:
        """How many first tens each note is in by such scores; no target is looked at."""
        return exposure_of_blocks(self._spread(scores), self._cut)

    def boost_unseen(self, scores: Sequence[Floats], coverage: float) -> Floats:
        """Each note's boost, so that the lists cover as much of the known notes as asked, or nearly.

        Round by round, notes that are in no list gain a little, until the lists of those they suit best have room for
        them. That depends on histories alone: what users did next is not looked at.
        """
        boost, known = np.zeros(self._cut.n_notes, np.float32), np.unique(self._cut.known.notes)
        for _ in range(MAX_ROUNDS):
            exposure = self.exposure(self.boosted(scores, boost))
            if (exposure[known] > 0).mean() >= coverage:
                break
            boost[exposure == 0] += BOOST
        return boost

    def covering(self, order: Order, coverage: float) -> tuple[Floats, Figures]:
        """The boost with which an order's lists cover as much as asked, and their figures with it."""
        scores = self.scores(order)
        boost = self.boost_unseen(scores, coverage)
        return boost, self.judge(self.boosted(scores, boost))

    def _spread(self, scores: Sequence[Floats]) -> Iterator[Scores]:
        placed = zip(self._found, scores, strict=True)
        return (_spread(found, score, shape) for (found, shape), score in placed)


def _spread(found: Candidates, score: Floats, shape: tuple[int, int]) -> Scores:
    """Scores of shape (n_users, n_notes): -inf for all that is no candidate."""
    scores = np.full(shape, -np.inf, np.float32)
    scores[found.row, found.note] = score
    return scores

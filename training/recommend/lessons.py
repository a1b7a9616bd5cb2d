"""What rankers learn at cuts through the log, and the rankers that learn it."""

from collections.abc import Sequence
from typing import Final

import lightgbm as lgb
import numpy as np

from training.recommend.cuts import Cut
from training.recommend.pool import Ingredients, build_pool
from training.recommend.ranker import Examples, fit_ranker, joined

SMALL: Final = 5_000
"""Users below whom the trees are kept small: however many lists they give, they are the same few people."""
MAX_LISTS: Final = 15_000
"""Lists learnt from, at most; each cut keeps an even share."""
SMALL_LISTS: Final = 6_000
"""The same for few users."""


class Lessons:
    """What rankers learn at cuts, each with sources and statistics from before it; made once for those who share it."""

    def __init__(self, made: Ingredients, rng: np.random.Generator) -> None:
        self.made = made
        self._rng = rng
        self._found: dict[tuple[Cut, int], tuple[Examples, tuple[str, ...]]] = {}

    def fit(self, cuts: Sequence[Cut], *, seed: int) -> lgb.Booster | None:
        """A ranker that learns at some cuts; None without an example."""
        small = bool(cuts) and len(cuts[0].asked) < SMALL
        most = SMALL_LISTS if small else MAX_LISTS
        found = [self._at(cut, most // len(cuts)) for cut in cuts]
        if not any(len(examples) for examples, _ in found):
            return None
        return fit_ranker(joined([examples for examples, _ in found]), found[0][1], small=small, seed=seed)

    def _at(self, cut: Cut, most: int) -> tuple[Examples, tuple[str, ...]]:
        if (cut, most) not in self._found:
            _, pool = build_pool(cut, self.made)
            self._found[cut, most] = Examples.of(pool, cut, most=most, rng=self._rng), pool.features
        return self._found[cut, most]

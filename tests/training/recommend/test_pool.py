"""What a cut's pool says of a log of four users, counted by hand."""

import numpy as np
import pytest

from models.recommend.candidates import Pool
from models.recommend.histories import Histories
from training.recommend.cuts import Cut
from training.recommend.neighbours import START
from training.recommend.pool import Ingredients, build_pool

LOG = [[0, 1, 2], [0, 1], [1, 2, 3], [3, 1, 0, 2]]


def pool_of(log: list[list[int]]) -> Pool:
    cut = Cut(Histories.of(log), np.arange(len(log)), np.full(len(log), -1), 5)
    return build_pool(cut, Ingredients(START, n_neighbours=50))[1]


@pytest.fixture(scope="module")
def pool() -> Pool:
    return pool_of(LOG)


def proposed(pool: Pool, source: str, *history: int) -> dict[int, float]:
    [found] = [one.propose(Histories.of([[*history]]), n_notes=5) for one in pool.sources if one.name == source]
    return dict(zip(found.key.tolist(), found.score.tolist(), strict=True))


def test_often_together_counts_the_users_with_both(pool: Pool) -> None:
    assert proposed(pool, "often_together", 0) == {1: 3, 2: 2, 3: 1}
    assert proposed(pool, "often_together", 3, 0) == {1: 5, 2: 4}


def test_before_and_next_each_read_one_direction(pool: Pool) -> None:
    assert proposed(pool, "next", 2).keys() == {3}
    assert proposed(pool, "before", 2).keys() == {0, 1, 3}


def test_two_hops_reach_what_nobody_took_up_together() -> None:
    pool = pool_of([[0, 1], [2, 1], [2, 1, 4]])
    assert proposed(pool, "together", 0).keys() == {1}
    cosines = {0: 2**-0.5 / 8**0.5, 2: (2**-0.5 + 3**-0.5) / 12**0.5, 4: 3**-0.5 / 8**0.5}  # of note 1, the only way
    shares = {note: cosines[note] / sum(cosines.values()) for note in (2, 4)}
    assert proposed(pool, "two_hops_together", 0) == pytest.approx(shares)
    assert proposed(pool, "two_hops", 0).keys() == {2, 4}


def test_statistics_say_how_often_and_how_late_notes_come(pool: Pool) -> None:
    assert pool.statistics.n_events.tolist() == [3, 4, 3, 2, 0]
    assert pool.statistics.lateness == pytest.approx([4 / 5, 5 / 6, 4 / 5, 2 / 4, 1 / 2])
    assert pool.statistics.standing.argmax() == 2  # it ends most histories
    assert pool.statistics.standing[4] == 0

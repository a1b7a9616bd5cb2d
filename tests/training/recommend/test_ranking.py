"""Ranks, gains, coverage and Gini, worked by hand."""

import numpy as np
import pytest

from models.recommend.histories import Histories
from training.recommend.cuts import Cut
from training.recommend.ranking import Score, gini, judge, mid_ranks, ndcg, take_top


def scores_of(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32)


def test_a_target_lies_in_the_middle_of_its_ties() -> None:
    scores = scores_of([3, 1, 1, 1, 0], [5, 4, 3, 2, 1])
    assert mid_ranks(scores, np.array([2, 0])).tolist() == [3.0, 1.0]  # places 2, 3 and 4


def test_a_known_target_has_no_rank() -> None:
    assert mid_ranks(scores_of([1, 2]), np.array([-1])).tolist() == [np.inf]


def test_all_that_nothing_speaks_for_ties_behind() -> None:
    cut = Cut(Histories.of([[0]]), np.array([0]), np.array([3]), n_notes=5)
    score: Score = lambda histories: scores_of([9, 2, -np.inf, -np.inf, -np.inf])  # noqa: E731
    assert ndcg(score, cut) == pytest.approx(1 / np.log2(4))  # 0 is known, 1 first, then 2, 3 and 4 at place 3


def test_a_user_among_ten_ties_counts_a_rank_of_five_and_a_half() -> None:
    cut = Cut(Histories.of([[10]]), np.array([0]), np.array([0]), n_notes=11)
    figures = judge(lambda histories: np.zeros((1, 11), np.float32), cut)
    assert figures.hit.tolist() == [1.0]
    assert figures.ndcg == pytest.approx([1 / np.log2(6.5)])


def test_a_rank_below_ten_gains_nothing() -> None:
    cut = Cut(Histories.of([[11]]), np.array([0]), np.array([10]), n_notes=12)
    figures = judge(lambda histories: -np.arange(12, dtype=np.float32)[None, :], cut)
    assert (figures.hit.tolist(), figures.ndcg.tolist()) == ([0.0], [0.0])


def test_coverage_is_the_share_of_known_notes_in_anybodys_first_ten() -> None:
    cut = Cut(Histories.of([[0], [1], [2, 3]]), np.arange(2), np.array([1, 2]), n_notes=5)  # note 4: nobody knows it
    score: Score = lambda histories: scores_of([9, 1, *[-np.inf] * 3], [1, 9, *[-np.inf] * 3])  # noqa: E731
    figures = judge(score, cut)
    assert figures.coverage == 0.5  # the first user is shown note 1, the second note 0
    assert figures.gini == pytest.approx(0.5)


def test_the_first_ten_leave_out_what_nothing_speaks_for() -> None:
    assert take_top(scores_of([2, -np.inf, 3, -1e30])).tolist() == [2, 0]


@pytest.mark.parametrize(
    ("exposure", "expected"), [([1, 1, 1, 1], 0.0), ([0, 0, 0, 4], 0.75), ([0, 0, 2, 2], 0.5), ([0, 0], 0.0)]
)
def test_gini(exposure: list[int], expected: float) -> None:
    assert gini(np.array(exposure)) == pytest.approx(expected)


def test_users_in_many_blocks_are_judged_like_one_by_one() -> None:
    rng = np.random.default_rng(0)
    known = Histories.of([[user % 7] for user in range(600)])
    cut = Cut(known, np.arange(600), (np.arange(600) + 1) % 7, n_notes=7)
    table = rng.random((7, 7)).astype(np.float32)
    score: Score = lambda histories: table[histories.notes]  # noqa: E731
    expected = [
        judge(score, Cut(Histories.of([[n]]), np.array([0]), np.array([(n + 1) % 7]), 7)).ndcg[0] for n in range(7)
    ]
    assert judge(score, cut).ndcg.tolist() == [expected[user % 7] for user in range(600)]
    assert ndcg(score, cut) == pytest.approx(judge(score, cut).ndcg.mean())

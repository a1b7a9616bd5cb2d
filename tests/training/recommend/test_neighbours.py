"""Pair weights and similarities, worked by hand."""

import numpy as np
import pytest
from scipy import sparse

from models.recommend.histories import Histories
from training.recommend.neighbours import (
    NeighbourSettings,
    Pairs,
    neighbour_scores,
    neighbour_table,
    strongest,
    two_hops,
)

PLAIN = NeighbourSettings(0, 0, 0, 0, 0, 0, 0)


def similarity(histories: list[list[int]], n_notes: int, **changed: float) -> np.ndarray:
    names = PLAIN.__slots__
    settings = NeighbourSettings(*(changed.get(name, 0.0) for name in names))
    return Pairs(Histories.of(histories), n_notes).similarity(settings).toarray()


def test_a_pair_counts_from_the_earlier_note_to_the_later() -> None:
    assert similarity([[0, 1, 2], [0, 2]], 3).tolist() == [[0, 1, 2], [0, 0, 1], [0, 0, 0]]


def test_a_pair_weighs_less_the_further_apart_and_the_longer_the_user() -> None:
    found = similarity([[0, 1, 2]], 3, lag_power=1.0, length_power=2.0)
    assert found[0].tolist() == pytest.approx([0, 1 / 9, 0.5 / 9])


def test_pairs_end_at_a_lag_of_sixty() -> None:
    found = similarity([[0, *[2] * 60, 1], [0, *[2] * 59, 1]], 3)
    assert found[0, 1] == 1.0


def test_backward_adds_a_share_of_the_transpose_and_the_diagonal_stays_zero() -> None:
    assert similarity([[0, 1, 0]], 2, backward=0.5).tolist() == [[0, 1.5], [1.5, 0]]


def test_popularity_divides_by_either_side() -> None:
    found = similarity([[0, 1], [0], [0], [1]], 2, from_power=0.5, to_power=1.0, smoothing=1.0)
    assert found[0, 1] == pytest.approx(1 / (4**0.5 * 3))  # n = 3 and 2, one more each


def test_a_table_keeps_the_strongest_in_order() -> None:
    rows = [[0, 0.25, 0.75, 0.5], [0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    table = neighbour_table(sparse.csr_array(np.array(rows)), 2)
    assert table.notes.dtype == np.uint16
    assert table.notes.tolist() == [[2, 3], [0, 0], [0, 0], [0, 0]]
    assert table.weights.tolist() == [[0.75, 0.5], [0, 0], [1, 0], [0, 0]]


def test_strongest_of_short_rows_are_all() -> None:
    assert strongest(sparse.csr_array(np.array([[1.0, 2.0], [0.0, 0.0]])), 5).toarray().tolist() == [[1, 2], [0, 0]]


def test_two_hops_go_through_a_neighbour_and_never_back() -> None:
    found = two_hops(sparse.csr_array(np.array([[0, 3.0, 1.0], [2.0, 0, 2.0], [0, 5.0, 0]]))).toarray()
    assert found.tolist() == [[0, 0.25, 0.375], [0, 0, 0.125], [0.5, 0, 0]]


def test_scores_over_all_notes_are_the_sources_when_nothing_is_cut() -> None:
    scores = neighbour_scores(sparse.csr_array(np.array([[0, 0.5], [0.0, 0]])), 1.0)(Histories.of([[0, 1], [1]]))
    assert scores.tolist() == [[-np.inf, 0.25], [-np.inf, -np.inf]]

"""Factors of notes: near where the same users, or users alike, take them up."""

import numpy as np

from models.recommend.histories import Histories
from models.recommend.vectors import DIMENSIONS
from training.recommend.factors import note_factors
from training.recommend.neighbours import Pairs


def cosines(histories: list[list[int]], n_notes: int) -> np.ndarray:
    factors = note_factors(Pairs(Histories.of(histories), n_notes))
    assert factors.vectors.shape == (n_notes, DIMENSIONS)
    vectors = factors.unit_vectors(np.arange(n_notes))
    return vectors @ vectors.T


TEA, HIKING = [[0, 1, 2], [2, 1, 3], [3, 1, 2], [0, 2, 1]], [[4, 5, 6], [6, 5, 4], [5, 4, 6]]
"""Nobody takes up 0 and 3, but users alike do."""


def test_notes_of_users_alike_are_near_though_nobody_took_up_both() -> None:
    near = cosines(TEA + HIKING, 7)
    assert near[0, 3] > 0.5
    assert np.abs(near[:4, 4:]).max() < 0.05


def test_a_note_without_a_pair_has_no_factors() -> None:
    near = cosines([*TEA, [4], [5, 5]], 6)
    assert not near[4:].any()
    assert near[0, 0] > 0.99


def test_numbers_of_notes_carry_nothing() -> None:
    number = np.random.default_rng(1).permutation(7)
    renamed = [number[history].tolist() for history in TEA + HIKING]
    np.testing.assert_allclose(cosines(renamed, 7)[np.ix_(number, number)], cosines(TEA + HIKING, 7), atol=0.02)


def test_there_are_no_factors_where_nobody_took_up_two_notes() -> None:
    assert not cosines([[0], [1]], 2).any()
    assert not cosines([[0]], 1).any()

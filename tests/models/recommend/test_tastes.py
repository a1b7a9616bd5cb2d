"""How near notes lie to what users like, on vectors along single axes."""

import numpy as np
import pytest

from models.recommend.histories import Histories
from models.recommend.tastes import cosines
from models.recommend.vectors import DIMENSIONS, NoteVectors, quantised


def space(*directions: tuple[float, ...]) -> NoteVectors:
    vectors = np.zeros((len(directions), DIMENSIONS), np.float32)
    for vector, direction in zip(vectors, directions, strict=True):
        vector[: len(direction)] = direction
    return NoteVectors(quantised(vectors))


NOTES = space((1, 0), (0, 1), (0.6, 0.8), ())
"""Two axes, a note between them, and one of which nothing is known."""


def test_cosines_by_hand() -> None:
    """The note before the last weighs 2 ** -.7 = .6156: the profile of 0, then 1, is along (.6156, 1)."""
    profile, last, greatest = cosines(NOTES, Histories.of([[0, 1]]), np.array([0]), np.array([2]))
    assert profile == pytest.approx([(0.6 * 0.6156 + 0.8) / np.hypot(0.6156, 1)], abs=0.01)
    assert last == pytest.approx([0.8], abs=0.01)
    assert greatest == pytest.approx([0.8], abs=0.01)


def test_the_greatest_is_with_any_of_the_last_five() -> None:
    histories = Histories.of([[0, 1, 1, 1, 1], [0, 1, 1, 1, 1, 1]])
    _, last, greatest = cosines(NOTES, histories, np.array([0, 1]), np.array([0, 0]))
    assert last == pytest.approx([0, 0], abs=0.01)
    assert greatest == pytest.approx([1, 0], abs=0.01)


def test_a_note_or_a_user_of_whom_nothing_is_known_has_no_cosine() -> None:
    histories = Histories.of([[0], [3], [7], []])
    for column in cosines(NOTES, histories, np.array([0, 0, 1, 2, 3]), np.array([3, 7, 0, 0, 0])):
        assert np.isnan(column).all()


def test_a_note_that_is_not_known_takes_no_part_in_a_taste() -> None:
    found = cosines(NOTES, Histories.of([[0, 3, 7]]), np.array([0]), np.array([0]))
    assert np.concatenate(found) == pytest.approx([1, 1, 1], abs=0.01)


def test_a_user_among_others_has_the_same_cosines_as_alone() -> None:
    rng = np.random.default_rng(2)
    notes = NoteVectors(quantised(rng.standard_normal((40, DIMENSIONS)).astype(np.float32)))
    histories = [rng.integers(40, size=n).tolist() for n in (3, 9, 1)]
    row, note = np.repeat(np.arange(3), 40), np.tile(np.arange(40), 3)
    together = np.stack(cosines(notes, Histories.of(histories), row, note))
    for user, history in enumerate(histories):
        alone = np.stack(cosines(notes, Histories.of([history]), np.zeros(40, np.int64), np.arange(40)))
        np.testing.assert_array_equal(together[:, row == user], alone)

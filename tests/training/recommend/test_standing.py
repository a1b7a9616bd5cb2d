"""Where notes stand in the order of all, worked by hand."""

import numpy as np
import pytest

from models.recommend.histories import Histories
from training.recommend.standing import note_standing


def test_a_step_sets_its_notes_apart() -> None:
    """The squares (b - a - 1)² + a² + b² are least at b = -a = 1/3; nothing is said of a note alone in its history."""
    assert note_standing(Histories.of([[0, 1], [2]]), 4) == pytest.approx([-1 / 3, 1 / 3, 0, 0])


def test_what_many_say_weighs_more_and_what_is_contradicted_less() -> None:
    often, contradicted = Histories.of([[0, 1]] * 50), Histories.of([[0, 1]] * 50 + [[1, 0]] * 50)
    assert note_standing(often, 2) == pytest.approx([-50 / 101, 50 / 101], abs=1e-4)
    assert note_standing(contradicted, 2) == pytest.approx([0, 0], abs=1e-4)


def test_notes_that_never_met_are_ordered_through_others() -> None:
    standing = note_standing(Histories.of([[0, 1], [1, 2], [2, 3], []]), 4)
    assert np.all(np.diff(standing) > 0)


def test_without_a_step_all_stand_alike() -> None:
    assert note_standing(Histories.of([[0], [], [1]]), 3).tolist() == [0, 0, 0]

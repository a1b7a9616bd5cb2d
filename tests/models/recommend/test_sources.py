"""What a source proposes, worked by hand."""

import numpy as np

from models.recommend.histories import Histories
from models.recommend.sources import NeighbourSource, NeighbourTable


def source(decay: float = 1.0) -> NeighbourSource:
    """Four notes; 0 has the neighbours 2 and 3, 1 has 2, the others none."""
    notes = np.array([[2, 3], [2, 0], [0, 0], [0, 0]], np.uint16)
    weights = np.array([[0.5, 0.25], [1.0, 0.0], [0.0, 0.0], [0.0, 0.0]], np.float32)
    return NeighbourSource("similar", NeighbourTable(notes, weights), decay)


def test_scores_add_up_over_the_history_and_fade_with_age() -> None:
    proposed = source().propose(Histories.of([[0, 1]]), n_notes=4)
    assert proposed.key.tolist() == [2, 3]
    assert proposed.score.tolist() == [1.25, 0.125]  # 0.5 / 2 + 1.0, and 0.25 / 2
    assert proposed.strongest.tolist() == [1.0, 0.125]
    assert proposed.support.tolist() == [2.0, 1.0]
    assert proposed.from_last.tolist() == [1.0, 0.0]


def test_what_a_user_knows_is_not_proposed() -> None:
    proposed = source().propose(Histories.of([[3, 0], [2]]), n_notes=4)
    assert proposed.key.tolist() == [2]


def test_users_do_not_see_each_others_notes() -> None:
    proposed = source().propose(Histories.of([[0], [], [1]]), n_notes=4)
    assert proposed.key.tolist() == [2, 3, 2 * 4 + 2]
    assert proposed.score.tolist() == [0.5, 0.25, 1.0]


def test_only_the_latest_fifty_notes_speak() -> None:
    assert source(0.0).propose(Histories.of([[0, *[2] * 49]]), n_notes=4).score.tolist() == [0.25]
    assert source(0.0).propose(Histories.of([[0, *[2] * 50]]), n_notes=4).key.tolist() == []


def test_nobody_is_proposed_nothing() -> None:
    assert source().propose(Histories.of([]), n_notes=4).key.tolist() == []

"""What each protocol knows and asks, worked by hand."""

import itertools

import numpy as np
import pytest

from features.errors import DataError
from training.recommend.cuts import Cut, Protocol, cut_at, leave_out, plan_cuts
from training.recommend.sequences import Sequences


def sequences(*users: list[tuple[int, int]], n_notes: int = 10) -> Sequences:
    """Users' (note, instant) pairs."""
    flat = [step for user in users for step in user]
    starts = np.concatenate([[0], np.cumsum([len(user) for user in users])])
    ids = np.array([f"n{note}" for note in range(n_notes)], np.object_)
    return Sequences(starts, np.array([note for note, _ in flat]), np.array([at for _, at in flat]), ids)


def asked(cut: Cut) -> list[tuple[list[int], int]]:
    """(history, target) of each user who is asked."""
    histories = cut.histories
    known = [histories.notes[first:end].tolist() for first, end in itertools.pairwise(histories.starts)]
    return list(zip(known, cut.targets.tolist(), strict=True))


LOG = sequences([(1, 0), (2, 10), (3, 20)], [(4, 5), (5, 15)], [(6, 30)])


def test_leave_one_out_asks_for_the_last_step_of_those_who_have_one_before_it() -> None:
    cut = leave_out(LOG, 1)
    assert asked(cut) == [([1, 2], 3), ([4], 5)]
    assert cut.known.notes.tolist() == [1, 2, 4]  # the third user's only step is nobody's history


def test_an_earlier_cut_forgets_what_comes_after_it() -> None:
    cut = leave_out(LOG, 2)
    assert asked(cut) == [([1], 2)]
    assert cut.known.notes.tolist() == [1]


def test_temporal_asks_for_the_first_step_from_the_instant_on() -> None:
    cut = cut_at(LOG, 15)
    assert asked(cut) == [([1, 2], 3), ([4], 5)]
    assert asked(cut_at(LOG, 10)) == [([1], 2), ([4], 5)]
    assert cut_at(LOG, 10).known.notes.tolist() == [1, 4]


def test_a_target_that_the_user_knows_is_none() -> None:
    assert asked(leave_out(sequences([(1, 0), (2, 1), (1, 2)]), 1)) == [([1, 2], -1)]


def test_what_the_ranker_learns_from_lies_before_what_it_is_judged_on() -> None:
    log = sequences([(note, note) for note in range(8)])
    plan = plan_cuts(log, Protocol.LEAVE_ONE_OUT)
    assert plan.test.targets.tolist() == [7]
    assert plan.validation.targets.tolist() == [6]
    assert [cut.targets.tolist() for cut in plan.before_test()] == [[6], [5], [4], [3], [2], [1]]
    assert [cut.targets.tolist() for cut in plan.before_validation()] == [[5], [4], [3], [2], [1]]
    assert all(cut.known.notes.max() < cut.targets[0] for cut in plan.before_test())


def test_where_many_are_asked_a_ranker_learns_at_the_latest_three_cuts() -> None:
    log = sequences(*([(note, note) for note in range(8)] for _ in range(30_000)))
    assert len(plan_cuts(log, Protocol.LEAVE_ONE_OUT).before_test()) == 3


def test_nothing_from_the_instant_on_is_known_of_anybody() -> None:
    rng = np.random.default_rng(1)
    log = sequences(*([(int(rng.integers(10)), at) for at in range(start, start + 20)] for start in range(30)))
    plan = plan_cuts(log, Protocol.TEMPORAL)
    instants = np.sort(log.at)[[int(len(log.at) * share) for share in (0.9, 0.8)]]
    for cut, instant in zip((plan.test, plan.validation), instants, strict=True):
        assert len(cut.known.notes) == (log.at < instant).sum()


def test_a_log_in_which_nobody_goes_on_is_refused() -> None:
    with pytest.raises(DataError, match="no user has a history and a step after it"):
        plan_cuts(sequences([(1, 0)], [(2, 0)]), Protocol.TEMPORAL)

"""The search walks uphill within its budget."""

from training.recommend.neighbours import NeighbourSettings
from training.recommend.search import GRID, MAX_EVALUATIONS, START, search


def closeness(settings: NeighbourSettings) -> float:
    return -abs(settings.decay - 0.5) - abs(settings.smoothing - 30)


def test_each_setting_walks_to_its_best() -> None:
    best, tried = search(closeness)
    assert (best.decay, best.smoothing) == (0.5, 30.0)
    assert tried[best] == max(tried.values())


def test_no_more_is_tried_than_allowed() -> None:
    best, tried = search(closeness, most=5)
    assert len(tried) == 5
    assert tried[best] == max(tried.values())
    assert len(search(closeness)[1]) <= MAX_EVALUATIONS


def test_what_changes_nothing_is_left_as_it_is() -> None:
    assert search(lambda settings: 0.0)[0] == START


def test_the_grid_holds_the_start() -> None:
    assert all(getattr(START, name) in values and sorted(values) == list(values) for name, values in GRID.items())

"""The search walks uphill within its budget."""

import pytest

from training.recommend import baselines
from training.recommend.neighbours import GRID, MAX_EVALUATIONS, START, NeighbourSettings
from training.recommend.search import search


def closeness(settings: NeighbourSettings) -> float:
    return -abs(settings.decay - 0.5) - abs(settings.smoothing - 30)


def test_each_setting_walks_to_its_best() -> None:
    best, tried = search(closeness, START, GRID, most=MAX_EVALUATIONS)
    assert (best.decay, best.smoothing) == (0.5, 30.0)
    assert tried[best] == max(tried.values())


def test_no_more_is_tried_than_allowed() -> None:
    best, tried = search(closeness, START, GRID, most=5)
    assert len(tried) == 5
    assert tried[best] == max(tried.values())


def test_what_changes_nothing_is_left_as_it_is() -> None:
    assert search(lambda settings: 0.0, START, GRID, most=MAX_EVALUATIONS)[0] == START


@pytest.mark.parametrize(("start", "grid"), [(START, GRID), (baselines.START, baselines.GRID)])
def test_a_grid_holds_its_start(start: object, grid: dict[str, tuple[float, ...]]) -> None:
    assert all(getattr(start, name) in values and sorted(values) == list(values) for name, values in grid.items())

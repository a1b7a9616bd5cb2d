"""The union of the sources' notes and its features, worked by hand."""

import numpy as np
import pytest

from models.recommend.candidates import PER_SOURCE, Candidates, NoteStatistics, Pool
from models.recommend.histories import Histories
from models.recommend.sources import NeighbourSource, NeighbourTable
from models.recommend.vectors import NoteVectors

Neighbours = dict[int, list[tuple[int, float]]]


def source(name: str, neighbours: Neighbours, n_notes: int, decay: float = 0.0) -> NeighbourSource:
    width = max(len(row) for row in neighbours.values())
    notes, weights = np.zeros((n_notes, width), np.uint16), np.zeros((n_notes, width), np.float32)
    for note, row in neighbours.items():
        for place, (other, weight) in enumerate(row):
            notes[note, place], weights[note, place] = other, weight
    return NeighbourSource(name, NeighbourTable(notes, weights), decay)


@pytest.fixture
def pool() -> Pool:
    """Five notes; of 0, source ``a`` has the neighbours 2, 3 and 4, ``b`` has 3 alone."""
    sources = (source("a", {0: [(2, 0.5), (3, 0.25), (4, 0.25)]}, 5), source("b", {0: [(3, 2.0)]}, 5))
    lateness = np.array([0.1, 0.2, 0.3, 0.4, 0.5], np.float32)
    standing = np.array([-1, 0, 0.5, 2, 3], np.float32)
    statistics = NoteStatistics(np.array([3, 0, 7, 1, 1], np.float32), lateness, standing, np.zeros(5, np.float32))
    return Pool(sources, statistics, NoteVectors.none(5))


def column(pool: Pool, found: Candidates, name: str) -> list[float]:
    return found.features[:, pool.features.index(name)].tolist()


def test_a_candidate_is_what_any_source_proposes(pool: Pool) -> None:
    found = pool.find(Histories.of([[1], [0]]))
    assert (found.row.tolist(), found.note.tolist()) == ([1, 1, 1], [2, 3, 4])
    assert column(pool, found, "a.score") == [0.5, 0.25, 0.25]
    assert column(pool, found, "b.score") == [0.0, 2.0, 0.0]
    assert column(pool, found, "n_sources") == [1.0, 2.0, 1.0]


def test_equal_scores_have_equal_ranks_and_an_unproposed_note_none(pool: Pool) -> None:
    found = pool.find(Histories.of([[0]]))
    assert column(pool, found, "a.rank") == [0.0, 1.0, 1.0]
    assert column(pool, found, "a.share_of_best") == [1.0, 0.5, 0.5]
    np.testing.assert_array_equal(column(pool, found, "b.rank"), [np.nan, 0.0, np.nan])
    assert found.source.tolist() == [0, 1, 0]


def test_features_of_the_note_and_of_the_user(pool: Pool) -> None:
    found = pool.find(Histories.of([[1, 0]]))
    assert column(pool, found, "popularity") == pytest.approx([np.log(8), np.log(2), np.log(2)])
    assert column(pool, found, "lateness") == pytest.approx([0.3, 0.4, 0.5])
    assert column(pool, found, "history_length") == pytest.approx([np.log(3)] * 3)
    assert column(pool, found, "history_popularity") == pytest.approx([np.log(4) / 2] * 3)
    assert column(pool, found, "last_popularity") == pytest.approx([np.log(4)] * 3)
    assert column(pool, found, "standing") == [0.5, 2.0, 3.0]
    assert column(pool, found, "standing_past_history") == [1.0, 2.5, 3.5]
    assert column(pool, found, "standing_past_last") == [1.5, 3.0, 4.0]


def test_a_source_sends_its_best_forty() -> None:
    row = [(note, float(100 - note)) for note in range(1, 51)]
    statistics = NoteStatistics.none(51)
    pool = Pool((source("a", {0: row}, 51),), statistics, NoteVectors.none(51))
    assert pool.find(Histories.of([[0]])).note.tolist() == list(range(1, PER_SOURCE + 1))


def test_a_user_among_others_has_the_same_features_as_alone(pool: Pool) -> None:
    together = pool.find(Histories.of([[1, 0], [0], [0, 2]]))
    for user, history in enumerate([[1, 0], [0], [0, 2]]):
        alone = pool.find(Histories.of([history]))
        np.testing.assert_array_equal(together.features[together.row == user], alone.features)

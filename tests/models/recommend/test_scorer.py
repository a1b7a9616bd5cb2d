"""A released recommender answers by note id: what it leaves out, what it fills up with, and what it refuses."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.bundle import GOLDEN, MODEL, Bundle, Golden, read_bundle, write_bundle
from models.errors import BundleError, ContractError
from models.recommend.candidates import NoteStatistics, Pool, feature_names
from models.recommend.graph import source_graph
from models.recommend.scorer import RecommendScorer
from models.recommend.settings import INPUT, OUTPUT, RecommendSettings
from models.recommend.sources import NeighbourSource, NeighbourTable
from models.recommend.tables import NOTES, TABLES, encode_tables
from models.recommend.vectors import NoteVectors

IDS = ("a", "b", "c", "d")
Files = dict[str, bytes]


def make_source(highest: int = 3) -> NeighbourSource:
    """``a`` is followed by ``d`` and, less often, ``c``; ``b`` by ``c``."""
    notes = np.array([[highest, 2], [2, 0], [0, 0], [0, 0]], np.uint16)
    weights = np.array([[0.5, 0.25], [1.0, 0.0], [0.0, 0.0], [0.0, 0.0]], np.float32)
    return NeighbourSource("next", NeighbourTable(notes, weights), 1.0)


def make_pool(highest: int = 3, n: int = 4, n_factors: int = 4, n_sources: int = 1) -> Pool:
    statistics = replace(NoteStatistics.none(n), n_events=np.array([1, 9, 5, 2, 0], np.float32)[:n])
    return Pool((make_source(highest),) * n_sources, statistics, NoteVectors.none(n_factors))


@pytest.fixture
def release(tmp_path: Path) -> Callable[..., Bundle]:
    """Writes a bundle ordered by the one source's score, some of its files replaced."""

    def write(**changed: bytes) -> Bundle:
        settings = RecommendSettings(("next",), (1.0,))
        n_features = settings.contract().inputs[0].shape[1]
        assert n_features is not None
        golden = Golden({INPUT: np.ones((1, n_features), np.float32)}, {OUTPUT: np.full((1, 1), 2, np.float32)})
        names = feature_names(["next"])
        files = {MODEL: source_graph("next", names).SerializeToString(), GOLDEN: golden.encode()}
        tables = encode_tables(IDS, make_pool())
        return write_bundle(tmp_path, settings.contract(), {**files, **tables, **changed})

    return write


def test_notes_come_by_score_with_the_source_that_found_them(release: Callable[..., Bundle], tmp_path: Path) -> None:
    scorer = RecommendScorer(read_bundle(tmp_path / release().digest))
    (shown,) = scorer.recommend([["a"]], n=2)
    assert [(one.note_id, one.score, one.source) for one in shown] == [("d", 1.0, "next"), ("c", 0.5, "next")]


def test_a_list_is_filled_up_with_what_is_popular(release: Callable[..., Bundle]) -> None:
    few, nobody = RecommendScorer(release()).recommend([["b"], ["unknown"]], n=3)
    assert [(one.note_id, one.score, one.source) for one in few] == [
        ("c", 1.0, "next"), ("d", None, "popular"), ("a", None, "popular"),
    ]  # fmt: skip
    assert [one.note_id for one in nobody] == ["b", "c", "d"]


def test_what_is_known_or_excluded_is_not_shown(release: Callable[..., Bundle]) -> None:
    first, second = RecommendScorer(release()).recommend([["c", "a"], ["a"]], n=9, exclude=[[], {"d"}])
    assert [one.note_id for one in first] == ["d", "b"]
    assert [one.note_id for one in second] == ["c", "b"]


def test_the_same_tables_give_the_same_bytes() -> None:
    assert encode_tables(IDS, make_pool()) == encode_tables(IDS, make_pool())


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({TABLES: b"none"}, "the tables can't be read"),
        ({NOTES: b'["a", "b"]'}, "the tables don't fit the 2 notes of notes.json"),
        (encode_tables(IDS, make_pool(n=3)), "the tables don't fit the 4 notes"),
        (encode_tables(IDS, make_pool(n_factors=3)), "the tables don't fit the 4 notes"),
        (encode_tables(IDS, make_pool(highest=4)), "the tables don't fit the 4 notes"),
        (encode_tables(IDS, make_pool(n_sources=0)), "the tables can't be read"),
    ],
)
def test_tables_that_do_not_fit_are_refused(release: Callable[..., Bundle], files: Files, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        RecommendScorer(release(**files))


def test_another_tasks_bundle_is_refused(release: Callable[..., Bundle]) -> None:
    bundle = release()
    with pytest.raises(ContractError, match="the bundle's task is churn, expected recommend"):
        RecommendScorer(replace(bundle, contract=replace(bundle.contract, task="churn")))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "not a recommender's settings"),
        ({"sources": [], "decays": []}, "needs sources, and one decay for each"),
        ({"sources": ["next"], "decays": []}, "needs sources, and one decay for each"),
        ({"sources": ["next", "more"], "decays": [1, 1]}, "tensors don't fit its sources"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    release: Callable[..., Bundle], settings: dict[str, list[float]], message: str
) -> None:
    with pytest.raises(ContractError, match=message):
        RecommendSettings.of(replace(release().contract, settings=settings))

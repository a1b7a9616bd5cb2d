"""A model of the small community: it learns, leaks nothing, and note ids carry nothing."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.recommend.candidates import NoteStatistics, Pool
from models.recommend.histories import Histories
from models.recommend.scorer import RecommendScorer
from models.recommend.sources import NeighbourSource, NeighbourTable
from models.recommend.vectors import NoteVectors
from training.gates import Gate
from training.recommend.config import Gates
from training.recommend.cuts import Cut, Protocol
from training.recommend.export import export_recommender, parity
from training.recommend.lessons import Lessons
from training.recommend.pool import Ingredients, note_statistics
from training.recommend.ranker import source_order
from training.recommend.ranking import judge
from training.recommend.recipe import RecommendTraining
from training.recommend.run import gates_of
from training.recommend.shortlists import Shortlists

Train = Callable[..., RecommendTraining]


def figures(training: RecommendTraining) -> dict[str, dict[str, float]]:
    return {name: one.to_json() for name, one in training.figures.items() if one}


def test_the_model_finds_the_usual_successors(walked: RecommendTraining) -> None:
    found = figures(walked)
    assert found["model"]["hr@10"] > 0.6
    assert found["model"]["ndcg@10"] > 2 * found["popularity"]["ndcg@10"]
    assert found.keys() == {"model", "popularity", "item_knn", "als"}


def test_the_figures_are_those_of_the_models_own_scores(walked: RecommendTraining) -> None:
    found = walked.figures["model"]
    assert found is not None
    assert judge(walked.model.score, walked.plan.test).to_json() == found.to_json()


@pytest.mark.slow
def test_shuffled_note_ids_give_identical_figures(
    train_on: Train, community: Callable[..., Path], walked: RecommendTraining
) -> None:
    shuffled = np.random.default_rng(5).permutation(1_000)
    renamed = train_on(community(lambda note: f"note-{shuffled[note]}"))
    assert figures(renamed) == figures(walked)


@pytest.mark.slow
def test_the_same_log_gives_the_same_bundle(
    train_on: Train, walks: Path, walked: RecommendTraining, tmp_path: Path
) -> None:
    first, second = (export_recommender(one.model, tmp_path) for one in (walked, train_on(walks)))
    assert first.digest == second.digest


@pytest.mark.slow
def test_the_step_that_is_asked_for_teaches_nothing(
    train_on: Train, community: Callable[..., Path], walked: RecommendTraining
) -> None:
    """Everybody's last step becomes another note: what was learnt stays, bit for bit, but for the figures."""
    changed = train_on(community(last="new"))
    histories = walked.plan.test.histories.block(0, 50)
    by_id = [walked.model.note_ids[note] for note in range(len(walked.model.note_ids))]
    number = {note_id: place for place, note_id in enumerate(changed.model.note_ids)}
    notes = np.array([number[by_id[note]] for note in histories.notes])
    ours, theirs = walked.model.score(histories), changed.model.score(Histories(histories.starts, notes))
    np.testing.assert_array_equal(ours, theirs[:, [number[note_id] for note_id in by_id]])


def test_nothing_after_the_instant_teaches_a_temporal_model(train_on: Train, community: Callable[..., Path]) -> None:
    both = [train_on(community(late=late), protocol=Protocol.TEMPORAL) for late in ("new", "other")]
    scores = [one.model.score(Histories.of([[3, 4], [5], [6, 7, 8]])) for one in both]
    np.testing.assert_array_equal(*scores)


def test_statistics_by_hand() -> None:
    found = note_statistics(Histories.of([[0, 1, 2, 3], [0]]), 5)
    assert found.n_events.tolist() == [2, 1, 1, 1, 0]
    assert found.lateness.tolist() == pytest.approx([2 / 4, 2 / 3, 2 / 3, 2 / 3, 1 / 2])


def test_notes_that_no_list_shows_are_boosted_into_the_lists_that_they_suit_best() -> None:
    """Both of the first users' lists show 1 to 10; 11 suits the first and 12 the second, each nearly as well as 10,
    which the third user's list shows anyway.
    """
    row = np.linspace(1, 0.55, 10).tolist()
    neighbours = [([*range(1, 11), 11], [*row, 0.5]), ([*range(1, 11), 12], [*row, 0.5]), ([10], [1.0])]
    notes, weights = np.zeros((15, 11), np.uint16), np.zeros((15, 11), np.float32)
    for note, (own, theirs) in zip((0, 13, 14), neighbours, strict=True):
        notes[note, : len(own)], weights[note, : len(own)] = own, theirs
    statistics = NoteStatistics.none(15)
    pool = Pool((NeighbourSource("next", NeighbourTable(notes, weights), 0.0),), statistics, NoteVectors.none(15))
    cut = Cut(Histories.of([[0], [13], [14], [*range(1, 13)]]), np.arange(3), np.array([1, 1, 10]), 15)
    shortlists = Shortlists(pool, cut)
    scores = shortlists.scores(source_order("next", pool.features))
    assert np.flatnonzero(shortlists.exposure(scores)).tolist() == [*range(1, 11)]
    boost = shortlists.boost_unseen(scores, 12 / 15)
    assert np.flatnonzero(shortlists.exposure(shortlists.boosted(scores, boost))).tolist() == [*range(1, 13)]
    assert boost[11:13].tolist() == pytest.approx([0.1, 0.1])
    assert not boost[1:11].any()
    assert not shortlists.boost_unseen(scores, 10 / 15).any()


def test_the_bundle_orders_as_the_trainer_does(walked: RecommendTraining, tmp_path: Path) -> None:
    bundle = export_recommender(walked.model, tmp_path)
    assert parity(bundle, walked.model, walked.plan.test.histories) < 1e-6
    scorer = RecommendScorer(bundle)
    (shown,) = scorer.recommend([["n003", "n004"]], n=5)
    assert "n005" in [one.note_id for one in shown]


@pytest.mark.slow
def test_the_bundle_of_a_ranker_orders_as_the_trainer_does(walked: RecommendTraining, tmp_path: Path) -> None:
    model, cuts = walked.model, walked.plan.before_test()
    made = Ingredients(model.choice.neighbours, n_neighbours=50)
    booster = Lessons(made, np.random.default_rng(0)).fit(cuts, seed=7)
    boost = np.linspace(0, 1, len(model.note_ids), dtype=np.float32)
    pool = replace(model.pool, statistics=replace(model.pool.statistics, boost=boost))
    ranked = replace(model, booster=booster, pool=pool)
    bundle = export_recommender(ranked, tmp_path)
    assert parity(bundle, ranked, walked.plan.test.histories) < 1e-6
    assert parity(bundle, model, walked.plan.test.histories) > 0.01


@pytest.mark.slow
def test_a_bundle_of_other_tables_fails_the_parity_gate(
    walked: RecommendTraining, train_on: Train, walks: Path, tmp_path: Path
) -> None:
    other = export_recommender(train_on(walks, n_neighbours=2).model, tmp_path)
    assert parity(other, walked.model, walked.plan.test.histories) == np.inf


@pytest.mark.parametrize(
    ("gates", "failed"),
    [({}, []), ({"min_ndcg_difference": 0.9}, ["ndcg_difference"]), ({"min_coverage_ratio": 9.0}, ["coverage_ratio"])],
)
def test_gates_ask_for_gain_and_coverage(walked: RecommendTraining, gates: dict[str, float], failed: list[str]) -> None:
    judged: list[Gate] = gates_of(walked, Gates(**{"min_coverage_ratio": 0.9, **gates}), 0.0)
    assert [gate.name for gate in judged if not gate.passed] == failed
    assert not gates_of(walked, Gates(), 1.0)[-1].passed

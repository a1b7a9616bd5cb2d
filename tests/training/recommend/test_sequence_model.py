"""The sequence model learns what no neighbour table can tell, is kept only there, and serves what was trained."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.bundle import write_bundle
from models.errors import BundleError
from models.recommend.histories import Histories
from models.recommend.scorer import RecommendScorer
from models.recommend.sequence import FILE, SEQUENCE, SequenceSource
from models.runtime import open_session
from training.recommend.export import export_recommender, parity
from training.recommend.recipe import RecommendTraining
from training.recommend.sequence_model import fit_sequence_model

pytestmark = pytest.mark.slow  # each trains a model of its own, or waits for one

N_NOTES = 40
Train = Callable[..., RecommendTraining]


AFTER = np.stack([np.random.default_rng(place).permutation(N_NOTES) for place in (1, 2)])
"""From a note two others follow equally often; which one, the note before it tells (by being even or odd)."""


def turns(n_users: int, *, seed: int) -> list[list[int]]:
    """Every other step is any note: so neither of two notes alone says what comes after both."""
    rng, every = np.random.default_rng(seed), []
    for user in range(n_users):
        notes = rng.integers(N_NOTES, size=2).tolist()
        while len(notes) < 12 + user % 2:
            notes.append(follower(notes) if len(notes) % 2 else int(rng.integers(N_NOTES)))
        every.append(notes)
    return every


def follower(notes: list[int]) -> int:
    """What follows two notes."""
    return int(AFTER[notes[-2] % 2, notes[-1]])


@pytest.fixture(scope="module")
def source() -> SequenceSource:
    graph = fit_sequence_model(Histories.of(turns(1_500, seed=1)), N_NOTES, seed=1)
    return SequenceSource(open_session(graph), N_NOTES)


def test_it_learns_what_two_notes_together_say(source: SequenceSource) -> None:
    asked = [one[:9] for one in turns(200, seed=2)]
    found = source.propose(Histories.of(asked), n_notes=N_NOTES)
    user, note = np.divmod(found.key, N_NOTES)
    firsts = [note[user == row][found.score[user == row].argmax()] for row in range(200)]
    is_new = [follower(notes) not in notes for notes in asked]
    is_hit = [first == follower(notes) for first, notes in zip(firsts, asked, strict=True)]
    assert sum(np.array(is_hit)[is_new]) > 0.7 * sum(is_new)


def test_a_user_is_answered_the_same_alone_and_in_a_crowd(source: SequenceSource) -> None:
    asked = [[1, 2], [], [3], [N_NOTES + 5], [5, 6, 7, 8]]
    found = source.propose(Histories.of(asked), n_notes=100)
    assert set((found.key // 100).tolist()) == {0, 2, 4}
    for row, notes in enumerate(asked):
        alone, own = source.propose(Histories.of([notes]), n_notes=100), found.key // 100 == row
        assert alone.key.tolist() == (found.key[own] - row * 100).tolist()
        assert alone.score == pytest.approx(found.score[own], abs=1e-6)


def test_it_is_kept_where_validation_shows_that_it_pays(
    train_on: Train, write_log: Callable[..., Path], tmp_path: Path
) -> None:
    events = [
        (f"u{user}", "like", f"n{note:02}", 60 * user + place)
        for user, notes in enumerate(turns(1_000, seed=3))
        for place, note in enumerate(notes)
    ]
    trained = train_on(write_log(events), sequence_model="auto")
    choice = trained.model.choice
    assert choice.has_sequence_model
    assert choice.ndcg["ranker with sequence"] > max(choice.ndcg["ranker"], choice.ndcg["chosen source"])
    bundle = export_recommender(trained.model, tmp_path)
    assert parity(bundle, trained.model, trained.plan.test.histories) < 1e-5
    assert SEQUENCE in RecommendScorer(bundle).source_names
    without = write_bundle(tmp_path, bundle.contract, {name: one for name, one in bundle.files.items() if name != FILE})
    with pytest.raises(BundleError, match=f"no {FILE} in the bundle"):
        RecommendScorer(without)


def test_it_is_left_out_where_neighbours_say_all(train_on: Train, walks: Path) -> None:
    choice = train_on(walks, sequence_model="auto").model.choice
    assert not choice.has_sequence_model


def test_the_same_seed_gives_the_same_graph() -> None:
    known = Histories.of(turns(100, seed=4))
    assert fit_sequence_model(known, N_NOTES, seed=5) == fit_sequence_model(known, N_NOTES, seed=5)

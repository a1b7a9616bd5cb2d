"""A feed put together from a model's candidates and a catalogue, by hand."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.bundle import GOLDEN, MODEL, Golden, write_bundle
from models.recommend.because import because
from models.recommend.candidates import NoteStatistics, Pool, feature_names
from models.recommend.catalogue import Catalogue, CatalogueNote
from models.recommend.content import CONTENT
from models.recommend.feed import DAY_US, FRESH, SUPPORTED, FeedNote, FeedRules, Wanted, make_feed
from models.recommend.graph import source_graph
from models.recommend.histories import Histories
from models.recommend.rerank.arrange import Arrangement
from models.recommend.scorer import POPULAR, RecommendScorer
from models.recommend.settings import INPUT, OUTPUT, RecommendSettings
from models.recommend.sources import NeighbourSource, NeighbourTable
from models.recommend.tables import encode_tables
from models.recommend.vectors import NoteVectors

NOW = 1_000 * DAY_US
RULES = FeedRules(Arrangement(diversity=0, support_every=0), explore_share=0.1)
IDS = tuple("abcdefgh")
"""``a`` is followed by all others, ``b`` the likeliest; the earlier, the more popular."""


def made(folder: Path, weights: dict[tuple[int, int], float], *, decay: float, content: bool) -> RecommendScorer:
    """A model of one source, ``next``: how much a note speaks for another."""
    n = len(IDS)
    table = NeighbourTable(np.tile(np.arange(n, dtype=np.uint16), (n, 1)), np.zeros((n, n), np.float32))
    for place, weight in weights.items():
        table.weights[place] = weight
    source, settings = NeighbourSource("next", table, decay), RecommendSettings(("next",), (decay,), content=content)
    features = feature_names(["next"], with_content=content)
    golden = Golden({INPUT: np.ones((1, len(features)), np.float32)}, {OUTPUT: np.full((1, 1), 2, np.float32)})
    graph = source_graph("next", features)
    statistics = replace(NoteStatistics.none(n), n_events=np.arange(n, 0, -1).astype(np.float32))
    files = {MODEL: graph.SerializeToString(), GOLDEN: golden.encode()}
    return RecommendScorer(
        write_bundle(
            folder,
            settings.contract(),
            {**files, **encode_tables(IDS, Pool((source,), statistics, NoteVectors.none(n)))},
        )
    )


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> RecommendScorer:
    weights = {(0, other): weight for other, weight in enumerate(np.linspace(1, 0.4, 7).tolist(), start=1)}
    return made(tmp_path_factory.mktemp("bundle"), weights, decay=0, content=False)


Feed = Callable[..., list[FeedNote]]


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue(IDS)


@pytest.fixture
def feed(scorer: RecommendScorer, catalogue: Catalogue) -> Feed:
    def make(n: int = 3, *, rules: FeedRules = RULES, **wanted: object) -> list[FeedNote]:
        return make_feed(scorer, catalogue, replace(Wanted(n, NOW), **wanted), rules)

    return make


def shown(notes: list[FeedNote]) -> list[int]:
    return [one.number for one in notes]


def test_the_model_s_notes_come_first_and_popular_ones_fill_up(feed: Feed) -> None:
    assert shown(feed(history=[0])) == [1, 2, 3]
    few = feed(9, history=[0], not_again=[1, 2, 3, 4])
    assert [(one.number, one.source, one.score is None) for one in few] == [
        (5, "next", False), (6, "next", False), (7, "next", False),
    ]  # fmt: skip
    rest = feed(9, history=[4])
    assert [(one.number, one.source) for one in rest] == [(one, POPULAR) for one in (0, 1, 2, 3, 5, 6, 7)]


def test_withheld_poor_and_hidden_notes_are_left_out(feed: Feed, catalogue: Catalogue) -> None:
    catalogue.put(CatalogueNote("b", withheld=True))
    catalogue.put(CatalogueNote("c", quality=10.0))
    catalogue.put(CatalogueNote("d", author_id="ann"))
    rules = replace(RULES, min_quality=20.0)
    hidden = catalogue.author_code("ann")
    assert shown(feed(history=[0], rules=rules, hidden_authors=[hidden])) == [4, 5, 6]


def test_a_newcomer_gets_popular_and_fresh_notes_in_turn(feed: Feed, catalogue: Catalogue) -> None:
    catalogue.put(CatalogueNote("old", known_since=NOW - 15 * DAY_US))
    catalogue.put(CatalogueNote("new", known_since=NOW - 14 * DAY_US))
    catalogue.put(CatalogueNote("newer", known_since=NOW - DAY_US))
    found = feed(5)
    assert [catalogue.note_id(one) for one in shown(found)] == ["a", "newer", "b", "new", "c"]
    assert [one.source for one in found[:2]] == [POPULAR, FRESH]


def test_a_category_comes_first(feed: Feed, catalogue: Catalogue) -> None:
    catalogue.put(CatalogueNote("g", category="tea"))
    code = catalogue.category_code("tea")
    assert shown(feed(category=code)) == [6, 0, 1]
    assert shown(feed(category=-1)) == [0, 1, 2]


def test_the_note_being_looked_at_speaks_as_the_last(feed: Feed) -> None:
    assert shown(feed(2, context=0)) == [1, 2]


def test_kept_places_go_to_fresh_notes_of_new_authors(feed: Feed, catalogue: Catalogue) -> None:
    catalogue.put(CatalogueNote("mine", "new author", known_since=NOW - DAY_US))
    catalogue.put(CatalogueNote("first", "old author", known_since=NOW - 31 * DAY_US))
    catalogue.put(CatalogueNote("theirs", "old author", known_since=NOW - DAY_US))
    rules = replace(RULES, arrangement=Arrangement(diversity=0, support_every=2))
    found = feed(4, history=[0], rules=rules)
    assert [catalogue.note_id(one) for one in shown(found)] == ["b", "mine", "c", "d"]
    assert (found[1].source, found[1].score) == (SUPPORTED, None)


def test_kept_places_go_to_fresh_notes_of_key_opinion_consumers_too(feed: Feed, catalogue: Catalogue) -> None:
    catalogue.put(CatalogueNote("first", "old author", known_since=NOW - 31 * DAY_US, by_koc=True))
    catalogue.put(CatalogueNote("theirs", "old author", known_since=NOW - DAY_US, by_koc=True))
    rules = replace(RULES, arrangement=Arrangement(diversity=0, support_every=2))
    found = feed(4, history=[0], rules=rules)
    assert [catalogue.note_id(one) for one in shown(found)] == ["b", "theirs", "c", "d"]


def test_the_chance_of_a_note_adds_both_ways_into_a_feed(feed: Feed) -> None:
    """Of seven candidates two are shown: nine feeds in ten the best two, else two drawn from the best six."""
    assert [one.propensity for one in feed(2, history=[0])] == pytest.approx([0.9 + 0.1 * 2 / 6] * 2)
    drawn = feed(2, history=[0], explore=np.random.default_rng(0))
    expected = {1: 0.9 + 0.1 / 3, 2: 0.9 + 0.1 / 3, 3: 0.1 / 3, 4: 0.1 / 3, 5: 0.1 / 3, 6: 0.1 / 3}
    assert [one.propensity for one in drawn] == pytest.approx([expected[one] for one in shown(drawn)])


def test_drawn_feeds_show_each_note_as_often_as_they_say(feed: Feed) -> None:
    rng, counts = np.random.default_rng(1), np.zeros(len(IDS))
    for _ in range(3_000):
        counts[shown(feed(2, history=[0], explore=rng))] += 1
    assert counts[1:7] / 3_000 == pytest.approx(np.full(6, 1 / 3), abs=0.03)
    assert counts[7] == 0


def test_support_evens_exposure_out(feed: Feed, catalogue: Catalogue) -> None:
    """The Gini coefficient of authors' exposure, over users with the same history, with and without kept places."""
    for place in range(20):
        catalogue.put(CatalogueNote(f"new{place}", f"author{place}", known_since=NOW - DAY_US))
    for number, note_id in enumerate(IDS):
        catalogue.put(CatalogueNote(note_id, f"known{number}", known_since=NOW - 99 * DAY_US))

    def gini(support_every: int) -> float:
        exposed = np.zeros(28)
        seen: list[int] = []
        rules = replace(RULES, arrangement=Arrangement(diversity=0, support_every=support_every))
        for _ in range(10):
            page = shown(feed(3, history=[0], rules=rules, not_again=[one for one in seen if one >= 8]))
            seen += page
            exposed[page] += 1
        ordered = np.sort(exposed)
        return float(2 * (np.arange(1, 29) * ordered).sum() / (28 * ordered.sum()) - 29 / 28)

    assert gini(3) < gini(0) - 0.1


def test_the_reason_is_the_note_that_says_most(scorer: RecommendScorer, catalogue: Catalogue) -> None:
    def reasons(history: list[int], *shown: tuple[int, str]) -> list[int | None]:
        return because(scorer, catalogue, Histories.of([history]), [FeedNote(*one, None, 1.0) for one in shown])

    assert reasons([4, 0], (1, "next"), (7, POPULAR), (2, "next")) == [0, None, 0]
    assert reasons([4], (1, "next")) == reasons([], (1, "next")) == [None]


@pytest.mark.parametrize(("content", "reason"), [(True, 0), (False, 1)])
def test_a_note_s_age_in_a_reason_is_its_age_in_the_score(tmp_path: Path, content: bool, reason: int) -> None:
    scorer, catalogue = made(tmp_path, {(0, 2): 1, (1, 2): 0.6}, decay=1, content=content), Catalogue([*IDS, "new"])
    history = Histories.of([[0, 1, 8]])  # with the new note 1/3 and .6/2; without it 1/2 and .6
    [score] = scorer.score(history, catalogue)[0].features[:, 0]
    assert score == pytest.approx(1 / 3 + 0.6 / 2 if content else 1 / 2 + 0.6)
    assert because(scorer, catalogue, history, [FeedNote(2, "next", None, 1.0)]) == [reason]


def test_the_reason_for_content_is_the_note_most_like_it(scorer: RecommendScorer, catalogue: Catalogue) -> None:
    for note_id, (x, y) in {"e": (127, 0), "f": (60, 60), "g": (0, 127), "h": (127, 20)}.items():
        catalogue.put(CatalogueNote(note_id, vector=bytes([x, y] + [0] * 126)))
    history, feed = Histories.of([[4, 5]]), [FeedNote(one, CONTENT, None, 1.0) for one in (6, 7, 0)]
    assert because(scorer, catalogue, history, feed) == [5, 4, None]

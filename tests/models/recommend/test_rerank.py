"""How a feed is put together from candidates, on vectors whose sums can be done by hand."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.recommend.rerank.arrange import Arrangement, Choices, Session, arrange, may_be_shown, relevance
from models.recommend.rerank.diversity import Diversity, MarginalRelevance, Method, SlidingSpectrum, open_diversity

EAST, NORTH, NORTHEAST, UNKNOWN = (1.0, 0.0), (0.0, 1.0), (0.6, 0.8), (0.0, 0.0)
Vector = tuple[float, float]
NO_SESSION = Session(0, np.zeros((0, 2), np.float32), np.zeros(0, np.int32))


def vectors(*rows: Sequence[float]) -> np.ndarray:
    return np.array(rows, np.float32)


def choices(
    scores: Sequence[float],
    notes: Sequence[Vector] | None = None,
    authors: Sequence[int] | None = None,
    supported: Sequence[int] = (),
) -> Choices:
    n = len(scores)
    return Choices(
        np.array(scores, np.float32),
        vectors(*(notes or [UNKNOWN] * n)),
        np.array(authors or range(n), np.int32),
        np.isin(np.arange(n), supported),
    )


def order(given: Choices, rules: Arrangement, *, n: int = 10, session: Session = NO_SESSION) -> list[int]:
    return [one.choice for one in arrange(given, session, rules, n=n)]


RELEVANCE_ALONE = Arrangement(diversity=0, support_every=0)


def test_the_gate_keeps_out_what_is_withheld_or_known_to_be_poor() -> None:
    withheld = np.array([False, True, False, False])
    quality = np.array([50, 90, 19.9, np.nan], np.float32)
    assert may_be_shown(withheld, quality, min_quality=20).tolist() == [True, False, False, True]


def test_relevance_runs_from_the_least_of_a_list_to_its_best() -> None:
    assert relevance(np.array([7, 4, 3], np.float32)).tolist() == [1, 0.25, 0]
    assert relevance(np.array([5, 5], np.float32)).tolist() == [1, 1]


def test_spectrum_counts_what_is_orthogonal_to_the_window() -> None:
    measure = SlidingSpectrum(vectors(EAST, NORTH, NORTHEAST), window=5)
    assert measure.gains().tolist() == [1, 1, 1]
    measure.show(0)
    assert measure.gains() == pytest.approx([0, 1, 0.8])  # what of each does not point east
    measure.show(2)
    assert measure.gains() == pytest.approx([0, 0, 0], abs=1e-3)  # two vectors span the plane


def test_spectrum_gives_back_the_part_of_a_note_that_leaves_the_window() -> None:
    measure = SlidingSpectrum(vectors(EAST, NORTH, NORTHEAST), window=1)
    measure.show(0)
    measure.show(1)
    assert measure.gains() == pytest.approx([1, 0, 0.6])


def test_marginal_relevance_counts_the_most_alike_note_of_the_window() -> None:
    measure = MarginalRelevance(vectors(EAST, NORTH, NORTHEAST), window=1)
    assert measure.gains().tolist() == [1, 1, 1]
    measure.show(0)
    assert measure.gains() == pytest.approx([0, 1, 0.4])
    measure.show(1)
    assert measure.gains() == pytest.approx([1, 0, 0.2])


@pytest.mark.parametrize("method", Method)
def test_a_note_without_a_vector_is_like_nothing(method: Method) -> None:
    measure = open_diversity(method, vectors(EAST, UNKNOWN, UNKNOWN), window=3)
    measure.show(0)
    measure.show(1)
    assert measure.gains().tolist() == [0, 0, 1]


def test_without_diversity_notes_come_by_score() -> None:
    assert order(choices([3, 9, 5]), RELEVANCE_ALONE) == [1, 2, 0]


@pytest.mark.parametrize("method", Method)
def test_diversity_puts_another_kind_before_more_of_the_same(method: Method) -> None:
    given = choices([10, 9, 8, 0], [EAST, EAST, NORTH, NORTH])
    assert order(given, RELEVANCE_ALONE) == [0, 1, 2, 3]
    rules = Arrangement(method, diversity=0.3, support_every=0)
    assert order(given, rules) == [0, 2, 1, 3]  # .8 + .3 for the first north note, .9 + 0 for the second east one


def test_diversity_goes_on_from_what_the_session_has_shown() -> None:
    session = Session(1, vectors(EAST), np.array([99], np.int32))
    rules = Arrangement(diversity=0.3, support_every=0)
    assert order(choices([10, 9, 0], [EAST, NORTH, NORTH]), rules, session=session, n=1) == [1]


def test_an_author_has_two_of_any_window_in_a_row() -> None:
    rules = Arrangement(diversity=0, window=4, per_author=2, support_every=0)
    given = choices([9, 8, 7, 6, 5, 4], authors=[1, 1, 1, 2, 3, 1])
    assert order(given, rules) == [0, 1, 3, 4, 2, 5]  # at the fifth place the first has left the window


def test_the_session_counts_for_the_authors_too() -> None:
    rules = Arrangement(diversity=0, per_author=1, support_every=0)
    session = Session(1, vectors(UNKNOWN), np.array([1], np.int32))
    assert order(choices([9, 8], authors=[1, 2]), rules, session=session) == [1, 0]


def test_the_authors_rule_gives_way_when_nothing_else_is_left() -> None:
    rules = Arrangement(diversity=0, per_author=1, support_every=0)
    assert order(choices([9, 8, 7], authors=[1, 1, 1]), rules) == [0, 1, 2]


def test_unknown_authors_are_not_one_author() -> None:
    rules = Arrangement(diversity=0, per_author=1, support_every=0)
    assert order(choices([9, 8, 7], authors=[-1, -1, 2]), rules) == [0, 1, 2]


def test_every_third_place_goes_to_the_best_supported_note() -> None:
    given = choices([9, 8, 7, 6, 5, 4], supported=[4, 5])
    placed = arrange(given, NO_SESSION, Arrangement(diversity=0, support_every=3), n=6)
    assert [(one.choice, one.by_support) for one in placed] == [
        (0, False), (1, False), (4, True), (2, False), (3, False), (5, True),
    ]  # fmt: skip


def test_support_is_counted_across_the_pages_of_a_session() -> None:
    session = Session(2, vectors(UNKNOWN, UNKNOWN), np.array([-1, -1], np.int32))
    rules = Arrangement(diversity=0, support_every=3)
    assert order(choices([9, 8], supported=[1]), rules, session=session) == [1, 0]


def test_support_never_breaks_the_authors_rule() -> None:
    rules = Arrangement(diversity=0, per_author=1, support_every=2)
    assert order(choices([9, 8, 7], authors=[1, 2, 1], supported=[2]), rules) == [0, 1, 2]


@given(
    seed=st.integers(0, 1_000),
    n_choices=st.integers(0, 30),
    n_shown=st.integers(0, 15),
    method=st.sampled_from(Method),
    window=st.integers(2, 12),
)
def test_whatever_the_rules_each_choice_is_placed_once(
    seed: int, n_choices: int, n_shown: int, method: Method, window: int
) -> None:
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(n_choices + n_shown, 8)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    given = Choices(
        rng.normal(size=n_choices).astype(np.float32),
        directions[:n_choices],
        rng.integers(-1, 3, n_choices).astype(np.int32),
        rng.random(n_choices) < 0.2,
    )
    session = Session(n_shown, directions[n_choices:], rng.integers(-1, 3, n_shown).astype(np.int32))
    rules = Arrangement(method, window=window)
    whole = order(given, rules, n=n_choices, session=session)
    assert sorted(whole) == list(range(n_choices))
    assert order(given, rules, n=n_choices // 2, session=session) == whole[: n_choices // 2]


@given(seed=st.integers(0, 1_000))
def test_spectrum_is_the_orthogonal_part_computed_the_long_way(seed: int) -> None:
    rng = np.random.default_rng(seed)
    notes = rng.normal(size=(12, 6)).astype(np.float32)
    notes /= np.linalg.norm(notes, axis=1, keepdims=True)
    measure: Diversity = SlidingSpectrum(notes, window=4)
    for shown in range(4):
        measure.show(shown)
        basis = np.linalg.qr(notes[: shown + 1].T.astype(np.float64))[0]
        rest = notes - (notes @ basis) @ basis.T
        assert measure.gains() == pytest.approx(np.linalg.norm(rest, axis=1), abs=2e-3)

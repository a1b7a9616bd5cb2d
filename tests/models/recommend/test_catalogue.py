"""What is known of notes by number, and which are near to which."""

import numpy as np
import pytest

from models.recommend.catalogue import UNKNOWN, Catalogue, CatalogueNote
from models.recommend.nearest import NOBODY, NearestGraph, nearest_of_all
from models.recommend.vectors import DIMENSIONS, UnitVectors, inverse_norms, quantised, unit


def embeddings(n: int) -> UnitVectors:
    """Unit vectors in twenty clusters."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(20, DIMENSIONS))
    vectors = (centres[rng.integers(20, size=n)] + rng.normal(size=(n, DIMENSIONS))).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def axis(place: int) -> bytes:
    """The quantised unit vector along one axis."""
    one = np.zeros((1, DIMENSIONS), np.float32)
    one[0, place] = 1
    return quantised(one).tobytes()


def along(place: int) -> UnitVectors:
    return unit(np.frombuffer(axis(place), np.int8)[None])


def test_quantised_embeddings_keep_their_cosines() -> None:
    exact = embeddings(200)
    kept = unit(quantised(exact))
    assert np.abs(kept @ kept.T - exact @ exact.T).max() < 0.01


def test_no_embedding_stays_zero() -> None:
    nothing = quantised(np.zeros((1, DIMENSIONS), np.float32))
    assert not nothing.any()
    assert not unit(nothing).any()
    assert inverse_norms(nothing).tolist() == [0]


def test_the_model_s_notes_come_first_and_new_ones_after() -> None:
    catalogue = Catalogue(["a", "b"])
    assert [catalogue.put(CatalogueNote(one)) for one in ("new", "b", "newer")] == [2, 1, 3]
    assert [catalogue.note_id(number) for number in range(len(catalogue))] == ["a", "b", "new", "newer"]
    assert catalogue.numbers(["newer", "unknown", "a"]) == [3, 0]
    assert catalogue.number("unknown") is None


def test_a_note_that_is_not_stored_is_unknown_but_may_be_shown() -> None:
    shelf = Catalogue(["a"]).shelf()
    assert (shelf.author[0], shelf.category[0], shelf.known_since[0]) == (UNKNOWN, UNKNOWN, UNKNOWN)
    assert np.isnan(shelf.quality[0])
    assert not shelf.withheld[0]
    assert not shelf.is_stored[0]


def test_what_is_put_replaces_what_was_known() -> None:
    catalogue = Catalogue()
    catalogue.put(CatalogueNote("a", "ann", "food", 5, axis(3), 80.0))
    catalogue.put(CatalogueNote("a", "ann", "travel", 5, None, None, withheld=True))
    shelf = catalogue.shelf()
    assert shelf.category[0] == catalogue.category_code("travel")
    assert shelf.withheld[0]
    assert shelf.inverse_norm[0] == 0
    assert np.isnan(shelf.quality[0])


def test_an_author_is_as_old_as_their_first_note() -> None:
    catalogue = Catalogue()
    for note_id, author, since in (("a", "ann", 9), ("b", "ben", 7), ("c", "ann", 20)):
        catalogue.put(CatalogueNote(note_id, author, known_since=since))
    assert catalogue.shelf().author_since.tolist() == [9, 7, 9]
    assert catalogue.author_code("ben") == 1
    assert catalogue.author_code("nobody") == UNKNOWN


def test_a_removed_note_is_withheld_until_it_is_put_again() -> None:
    catalogue = Catalogue(["a"])
    catalogue.remove("a")
    catalogue.remove("never heard of")
    assert catalogue.shelf().withheld.tolist() == [True, True]
    assert catalogue.shelf().is_stored.tolist() == [False, False]
    catalogue.put(CatalogueNote("a"))
    assert catalogue.shelf().withheld.tolist() == [False, True]


def test_a_shelf_does_not_grow_under_its_reader() -> None:
    catalogue = Catalogue(["a"])
    shelf = catalogue.shelf()
    for number in range(5_000):
        catalogue.put(CatalogueNote(f"n{number}", category="food"))
    assert len(shelf) == 1
    assert len(catalogue.shelf()) == 5_001
    assert catalogue.shelf().category[-1] == 0


def test_the_nearest_come_first_and_notes_without_a_vector_never() -> None:
    catalogue = Catalogue(["none"])
    for place in range(3):
        catalogue.put(CatalogueNote(f"n{place}", vector=axis(place)))
    numbers, cosines = catalogue.near(np.vstack([along(1), along(9)]), n=5)
    assert numbers[0].tolist()[0] == 2
    assert cosines[0].tolist() == [1, 0, 0, -1, -1]
    assert sorted(numbers[1].tolist()) == [NOBODY, NOBODY, 1, 2, 3]


def test_the_graph_finds_what_comparing_with_all_finds() -> None:
    every = embeddings(3_050)
    vectors, wanted = quantised(every[:3_000]), every[3_000:]
    norms = inverse_norms(vectors)
    exact, cosines = nearest_of_all(vectors, norms, wanted, n=100)
    found, _ = NearestGraph(vectors, norms).near(wanted, n=100)
    recall = np.mean([len(set(a) & set(b)) / 100 for a, b in zip(exact.tolist(), found.tolist(), strict=True)])
    assert recall > 0.95
    assert (np.diff(cosines, axis=1) <= 0).all()


def test_the_graph_follows_changes() -> None:
    catalogue = Catalogue()
    for place in range(3):
        catalogue.put(CatalogueNote(f"n{place}", vector=axis(place)))
    catalogue.build_graph()
    catalogue.put(CatalogueNote("new", vector=axis(7)))
    catalogue.remove("n1")
    assert catalogue.near(along(7), n=1)[0].tolist() == [[3]]
    assert 1 not in catalogue.near(along(1), n=4)[0]


@pytest.mark.parametrize("n_notes", [0, 1])
def test_there_may_be_next_to_nothing(n_notes: int) -> None:
    catalogue = Catalogue([f"n{place}" for place in range(n_notes)])
    assert catalogue.near(along(0), n=2)[0].tolist() == [[NOBODY, NOBODY]]

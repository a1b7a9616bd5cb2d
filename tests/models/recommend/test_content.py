"""What notes say as a source of candidates, on vectors along single axes."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from models.recommend.candidates import NoteStatistics, Pool
from models.recommend.catalogue import Catalogue, CatalogueNote
from models.recommend.content import ContentSource
from models.recommend.histories import Histories
from models.recommend.sources import NeighbourSource, NeighbourTable
from models.recommend.vectors import DIMENSIONS, NoteVectors, quantised


def along(*weights: float) -> bytes:
    vector = np.zeros((1, DIMENSIONS), np.float32)
    vector[0, : len(weights)] = weights
    return quantised(vector).tobytes()


def catalogue(vectors: Mapping[str, bytes | None], **fields: bool) -> Catalogue:
    made = Catalogue()
    for note_id, vector in vectors.items():
        made.put(CatalogueNote(note_id, vector=vector, **fields))
    return made


TEA, COFFEE, HIKING = along(1, 0), along(0.8, 0.6), along(0, 0, 1)


def test_what_is_near_to_what_a_user_reads_is_proposed() -> None:
    found = ContentSource(catalogue({"tea": TEA, "coffee": COFFEE, "hiking": HIKING, "unread": None})).propose(
        Histories.of([[0], []]), n_notes=4
    )
    assert found.key.tolist() == [1, 2]
    assert found.score == pytest.approx([1.8, 1.0], abs=0.01)
    assert found.from_last == pytest.approx([1.8, 1.0], abs=0.01)
    assert found.support.tolist() == [2, 2]  # near to the profile, and to the last note


def test_a_note_that_nothing_is_known_of_speaks_for_nothing() -> None:
    source = ContentSource(catalogue({"tea": TEA, "unread": None}))
    assert source.propose(Histories.of([[1], [7]]), n_notes=2).key.tolist() == []


def test_the_last_note_is_the_last_that_is_known() -> None:
    source = ContentSource(catalogue({"tea": TEA, "hiking": HIKING, "unread": None, "coffee": COFFEE}))
    found = source.propose(Histories.of([[1, 0, 2]]), n_notes=4)
    assert found.key.tolist() == [3]
    assert found.from_last == pytest.approx([1.8], abs=0.01)


def test_withheld_notes_are_not_proposed() -> None:
    notes = catalogue({"tea": TEA, "coffee": COFFEE})
    notes.put(CatalogueNote("coffee", vector=COFFEE, withheld=True))
    assert ContentSource(notes).propose(Histories.of([[0]]), n_notes=2).key.tolist() == []


def test_a_pool_with_a_catalogue_finds_notes_that_no_event_speaks_of() -> None:
    """Of two notes the model knows the second by behaviour; the third is new, and like the first."""
    table = NeighbourTable(np.array([[1], [0]], np.uint16), np.array([[0.5], [0.0]], np.float32))
    statistics = replace(NoteStatistics.none(2), n_events=np.array([3, 2], np.float32))
    notes = catalogue({"tea": TEA, "hiking": None, "coffee": COFFEE})
    pool = Pool((NeighbourSource("next", table, 1.0),), statistics, NoteVectors.none(2), catalogue=notes)
    found = pool.find(Histories.of([[0]]))
    assert found.note.tolist() == [1, 2]
    assert [pool.sources[one].name for one in found.source] == ["next", "content"]
    columns = dict(zip(pool.features, found.features.T.tolist(), strict=True))
    assert columns["next.score"] == [0.5, 0]
    assert columns["popularity"] == pytest.approx([np.log(3), 0])
    assert columns["lateness"] == pytest.approx([0.5, 0.5])
    assert np.isnan(columns["content.profile_cosine"][0])
    assert columns["content.last_cosine"][1] == pytest.approx(0.8, abs=0.01)

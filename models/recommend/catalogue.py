"""What is known of notes beside behaviour: a live model's notes first, in its order, then others as they appear.

A note's number is its place here, for as long as the model is live. All that is known of content lies here, and
nothing of it in the bundle: who erases a note erases it whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from models.recommend.histories import Ints
from models.recommend.nearest import EXACT_UP_TO, Cosines, NearestGraph, nearest_of_all
from models.recommend.vectors import DIMENSIONS, UnitVectors, Vectors, inverse_norms, unit

UNKNOWN: Final = -1
"""The code of an author or category that is not known, and the instant of a note of which none is."""

_ROOM: Final = 1_024


@dataclass(frozen=True, slots=True)
class CatalogueNote:
    """A stored note: ``vector`` is its quantised embedding, None while it has none; ``known_since`` in microseconds.

    ``quality`` (0 to 100) is None where nothing has judged it; ``withheld`` notes are never shown. ``by_koc`` where its
    author is a key opinion consumer.
    """

    note_id: str
    author_id: str | None = None
    category: str | None = None
    known_since: int = UNKNOWN
    vector: bytes | None = None
    quality: float | None = None
    withheld: bool = False
    by_koc: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Shelf:
    """The notes of a catalogue at one moment, by number, shape (n,) each, and what is not known of them.

    ``vectors`` (n, 128) are quantised embeddings and ``inverse_norm`` one over their norms, 0 for a note without one;
    ``author`` and ``category`` are codes, ``UNKNOWN`` for none; ``known_since`` in microseconds, ``author_since`` when
    the first note of its author became known; ``quality`` NaN where it is not known.
    """

    vectors: Vectors
    inverse_norm: npt.NDArray[np.float32]
    author: npt.NDArray[np.int32]
    category: npt.NDArray[np.int32]
    known_since: npt.NDArray[np.int64]
    author_since: npt.NDArray[np.int64]
    quality: npt.NDArray[np.float32]
    withheld: npt.NDArray[np.bool_]
    by_koc: npt.NDArray[np.bool_]
    is_stored: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.author)

    def unit_vectors(self, numbers: Ints) -> UnitVectors:
        """Embeddings of some notes as float32 of norm 1; zero for a note without one."""
        return unit(self.vectors[numbers])


class Catalogue:
    """Notes by number; several threads may read while one changes it."""

    def __init__(self, note_ids: Sequence[str] = ()) -> None:
        self._ids = list(note_ids)
        self._numbers = {note_id: number for number, note_id in enumerate(self._ids)}
        self._authors: dict[str, int] = {}
        self._categories: dict[str, int] = {}
        self._since: dict[int, int] = {}
        self._columns = _empty(len(self._ids) + _ROOM)
        self._lock = Lock()
        self._graph: NearestGraph | None = None

    def __len__(self) -> int:
        return len(self._ids)

    def number(self, note_id: str) -> int | None:
        """A note's number; None for one that is not here."""
        return self._numbers.get(note_id)

    def numbers(self, note_ids: Sequence[str]) -> list[int]:
        """The numbers of those of these notes that are here, in order."""
        return [self._numbers[note_id] for note_id in note_ids if note_id in self._numbers]

    def note_id(self, number: int) -> str:
        """A note's id."""
        return self._ids[number]

    def author_code(self, author_id: str) -> int:
        """The code of an author; ``UNKNOWN`` for one without notes here."""
        return self._authors.get(author_id, UNKNOWN)

    def category_code(self, category: str) -> int:
        """The code of a category; ``UNKNOWN`` for one without notes here."""
        return self._categories.get(category, UNKNOWN)

    def shelf(self) -> Shelf:
        """The notes as they are now. Later changes to a note here show in it; later notes do not."""
        with self._lock:
            n = len(self._ids)
            return Shelf(**{name: column[:n] for name, column in self._columns.items()})

    def put(self, note: CatalogueNote) -> int:
        """Add a note, or replace what is known of it; its number."""
        with self._lock:
            number = self._numbers.get(note.note_id, len(self._ids))
            self._make_room(number)
            vector = None if note.vector is None else np.frombuffer(note.vector, np.int8)
            self._set(number, note, vector)
            if number == len(self._ids):
                self._ids.append(note.note_id)
                self._numbers[note.note_id] = number
            graph = self._graph
        if graph:
            graph.put(number, vector)
        return number

    def remove(self, note_id: str) -> None:
        """Forget all of a note but that it is never to be shown, until it is put again."""
        number = self.put(CatalogueNote(note_id, withheld=True))
        self._columns["is_stored"][number] = False

    def near(self, wanted: UnitVectors, *, n: int) -> tuple[Ints, Cosines]:
        """Per vector, the ``n`` notes nearest to it and their cosines, descending: (m, n) each; see ``nearest``."""
        if self._graph:
            return self._graph.near(wanted, n=n)
        shelf = self.shelf()
        return nearest_of_all(shelf.vectors, shelf.inverse_norm, wanted, n=n)

    @property
    def wants_graph(self) -> bool:
        """Whether there are too many notes to compare with all, and no graph yet."""
        return self._graph is None and len(self) > EXACT_UP_TO

    def build_graph(self) -> None:
        """Make the graph; it takes minutes for a million notes, during which all are compared as before.

        What changes meanwhile is put into it at the end.
        """
        shelf = self.shelf()
        before = shelf.vectors.copy()
        graph = NearestGraph(before, shelf.inverse_norm.copy())
        with self._lock:
            n = len(self._ids)
            vectors, norms = self._columns["vectors"][:n], self._columns["inverse_norm"][:n]
            same = np.zeros(n, np.bool_)
            same[: len(before)] = (vectors[: len(before)] == before).all(axis=1)
            for number in np.flatnonzero(~same).tolist():
                graph.put(number, vectors[number] if norms[number] else None)
            self._graph = graph

    def _set(self, number: int, note: CatalogueNote, vector: npt.NDArray[np.int8] | None) -> None:
        author = _code(self._authors, note.author_id)
        since = self._since.get(author, note.known_since)
        if author != UNKNOWN:
            self._since[author] = since = min(since, note.known_since)
        row = {
            "vectors": 0 if vector is None else vector,
            "inverse_norm": 0 if vector is None else inverse_norms(vector[None])[0],
            "author": author,
            "category": _code(self._categories, note.category),
            "known_since": note.known_since,
            "author_since": since,
            "quality": np.nan if note.quality is None else note.quality,
            "withheld": note.withheld,
            "by_koc": note.by_koc,
            "is_stored": True,
        }
        for name, value in row.items():
            self._columns[name][number] = value

    def _make_room(self, number: int) -> None:
        room = len(self._columns["author"])
        if number < room:
            return
        wider = _empty(room + room // 2 + _ROOM)
        for name, column in self._columns.items():
            wider[name][:room] = column
        self._columns = wider


def _empty(n: int) -> dict[str, npt.NDArray[Any]]:
    return {
        "vectors": np.zeros((n, DIMENSIONS), np.int8),
        "inverse_norm": np.zeros(n, np.float32),
        "author": np.full(n, UNKNOWN, np.int32),
        "category": np.full(n, UNKNOWN, np.int32),
        "known_since": np.full(n, UNKNOWN, np.int64),
        "author_since": np.full(n, UNKNOWN, np.int64),
        "quality": np.full(n, np.nan, np.float32),
        "withheld": np.zeros(n, np.bool_),
        "by_koc": np.zeros(n, np.bool_),
        "is_stored": np.zeros(n, np.bool_),
    }


def _code(codes: dict[str, int], name: str | None) -> int:
    return UNKNOWN if name is None else codes.setdefault(name, len(codes))

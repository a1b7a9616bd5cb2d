"""The notes a ranker chooses from, and what it knows of each: the same code in training and at serving."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from models.recommend.catalogue import Catalogue
from models.recommend.content import CONTENT, ContentSource
from models.recommend.histories import Histories, Ints
from models.recommend.sequence import SequenceSource
from models.recommend.sources import Floats, NeighbourSource, Proposals, Source, begins
from models.recommend.tastes import COSINES, cosines
from models.recommend.vectors import NoteVectors

PER_SOURCE: Final = 40
"""How many notes each source sends a user."""

_OF_SOURCE: Final = ("score", "strongest", "support", "from_last", "share_of_best", "rank")
_RANK: Final = _OF_SOURCE.index("rank")
_OF_NOTE: Final = (
    "popularity", "lateness", "history_length", "history_popularity", "last_popularity",
    "standing", "standing_past_history", "standing_past_last", "boost", "n_sources",
)  # fmt: skip


_NO_LATENESS: Final = np.float32(0.5)

FACTORS: Final = "factors"
"""What the cosines between notes' factors are called by."""


@dataclass(frozen=True, slots=True, eq=False)
class NoteStatistics:
    """Of each note: how many events it had, the share of them among their users' latest three, where it stands in the
    order of all (from early to late, about 0), and what is added to its score because no list would show it.
    """

    n_events: Floats
    lateness: Floats
    standing: Floats
    boost: Floats

    @classmethod
    def none(cls, n_notes: int) -> Self:
        """Of notes without an event."""
        n_events, standing, boost = np.zeros((3, n_notes), np.float32)
        return cls(n_events, np.full(n_notes, _NO_LATENESS), standing, boost)

    @property
    def popularity(self) -> Floats:
        """The logarithm of one more than its events."""
        return np.log1p(self.n_events)

    def of(self, notes: Ints) -> "NoteStatistics":
        """Those of some notes; a note later than these has had no event."""
        known, found = notes < len(self.n_events), self.none(len(notes))
        for field in fields(self):
            getattr(found, field.name)[known] = getattr(self, field.name)[notes[known]]
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Notes for users, ascending by user, then note.

    ``features`` is float32 of shape (n, n_features). ``source`` is the place of the source that ranks the note highest.
    """

    row: Ints
    note: Ints
    features: Floats
    source: npt.NDArray[np.int64]


def feature_names(sources: Sequence[str], *, with_content: bool = False) -> tuple[str, ...]:
    """The columns of ``Candidates.features``: each source's, the note's and the user's, and those of each space."""
    of_content = (CONTENT,) if with_content else ()
    of_sources = (f"{source}.{name}" for source in (*sources, *of_content) for name in _OF_SOURCE)
    of_spaces = (f"{space}.{name}" for space in (FACTORS, *of_content) for name in COSINES)
    return (*of_sources, *_OF_NOTE, *of_spaces)


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """What candidates are found with: sources, the notes' statistics and factors, as of one cut through the log.

    The ``factors`` of notes are near where the same users take them up.
    A ``sequence`` model is a source like the neighbours of ``behaviour``. With a ``catalogue``, content is one too, and
    there are as many notes as the catalogue has; its first are those of the statistics.
    """

    behaviour: tuple[NeighbourSource, ...]
    statistics: NoteStatistics
    factors: NoteVectors
    sequence: SequenceSource | None = None
    catalogue: Catalogue | None = None

    @property
    def sources(self) -> tuple[Source, ...]:
        """All sources, content last."""
        sequence = (self.sequence,) if self.sequence else ()
        content = (ContentSource(self.catalogue),) if self.catalogue else ()
        return (*self.behaviour, *sequence, *content)

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the features."""
        own = [one.name for one in self.sources if one.name != CONTENT]
        return feature_names(own, with_content=self.catalogue is not None)

    def find(self, histories: Histories) -> Candidates:
        """The best notes of every source, and what all sources say of them.

        A source that does not propose a note says 0 of it, and NaN for the rank. Content says NaN of notes, or for
        users, of whom it knows nothing.
        """
        n_notes = len(self.catalogue) if self.catalogue else len(self.statistics.n_events)
        proposed = [_ranked(source.propose(histories, n_notes=n_notes), n_notes) for source in self.sources]
        keys = np.unique(np.concatenate([one.key[one.place < PER_SOURCE] for one in proposed]))
        row, note = np.divmod(keys, n_notes)
        columns = [column for one in proposed for column in one.at(keys)]
        ranks = np.nan_to_num(columns[_RANK :: len(_OF_SOURCE)], nan=np.inf)
        columns += _of_note(self.statistics, histories, row, note)
        columns.append(np.isfinite(ranks).sum(axis=0, dtype=np.float32))
        columns += cosines(self.factors, histories, row, note)
        if self.catalogue:
            columns += cosines(self.catalogue.shelf(), histories, row, note)
        features = np.stack(columns, axis=1).astype(np.float32, copy=False)
        return Candidates(row, note, features, ranks.argmin(axis=0))


def _of_note(statistics: NoteStatistics, histories: Histories, row: Ints, note: Ints) -> Iterator[Floats]:
    of_note, of_latest = statistics.of(note), statistics.of(histories.latest.note)
    mean_popularity, last_popularity = _mean_and_last(of_latest.popularity, histories)
    mean_standing, last_standing = _mean_and_last(of_latest.standing, histories)
    yield of_note.popularity
    yield of_note.lateness
    yield np.log1p(histories.lengths)[row].astype(np.float32)
    yield mean_popularity[row]
    yield last_popularity[row]
    yield of_note.standing
    yield of_note.standing - mean_standing[row]
    yield of_note.standing - last_standing[row]
    yield of_note.boost


def _mean_and_last(of_latest: Floats, histories: Histories) -> tuple[Floats, Floats]:
    """Of each user, what is said of the latest notes on average, and of the last; 0 without a note."""
    latest, n_users = histories.latest, len(histories)
    n_latest = np.bincount(latest.row, minlength=n_users)
    mean = np.bincount(latest.row, of_latest, n_users) / np.maximum(n_latest, 1)
    last, is_last = np.zeros(n_users, np.float32), latest.age == 0
    last[latest.row[is_last]] = of_latest[is_last]
    return mean.astype(np.float32), last


@dataclass(frozen=True, slots=True, eq=False)
class _Ranked:
    """A source's proposals with their place among the user's (ties by number), and what is derived from it."""

    key: Ints
    place: Ints
    columns: Floats

    def at(self, keys: Ints) -> Floats:
        """What ``_OF_SOURCE`` names of some notes of some users, (6, n)."""
        says = np.zeros((len(_OF_SOURCE), len(keys)), np.float32)
        says[_RANK] = np.nan
        if len(self.key):
            found = np.minimum(np.searchsorted(self.key, keys), len(self.key) - 1)
            known = self.key[found] == keys
            says[:, known] = self.columns[:, found[known]]
        return says


def _ranked(proposals: Proposals, n_notes: int) -> _Ranked:
    """``rank`` counts the user's notes with a higher score: equal scores have equal ranks."""
    row, score = proposals.key // n_notes, proposals.score
    bits = score.view(np.int32)  # of floats from 0 on: they order as the floats do
    order = np.argsort((row << 32) - bits, kind="stable")
    first = np.flatnonzero(begins(row))  # of each user: rows ascend in either order
    start = np.repeat(first, np.diff(np.append(first, len(row))))
    places = np.arange(len(row))
    is_lower = (places == start) | begins(score[order])
    place, rank = np.empty(len(row), np.int64), np.empty(len(row), np.float32)
    place[order] = places - start
    rank[order] = np.maximum.accumulate(np.where(is_lower, places, 0)) - start
    best = np.empty(len(row), np.float32)
    best[order] = score[order][start]
    evidence = [score, proposals.strongest, proposals.support, proposals.from_last, score / best, rank]
    return _Ranked(proposals.key, place, np.stack(evidence))

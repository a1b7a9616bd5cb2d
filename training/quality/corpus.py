"""Labelled notes of any number of datasets, ready to learn from and to be judged on.

A note that nobody judged for a label has no target for it: NaN, never 0. Notes are split before anything is learnt,
and alike ones stay on one side: a model is not to be praised for what it has read.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from features.errors import DataError
from features.sources import Dataset
from features.text.normalise import normalise
from models.quality.reading import NoteText

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

TRAIN, DEV, TEST = "train", "dev", "test"
SPLITS: Final = (TRAIN, DEV, TEST)
HARMLESS, CLEAN = "harmless", "clean"
"""Of the clean notes, those that are learnt from, and those that flags are counted on."""
MAX_CLEAN: Final = 2_000
"""Clean notes in each of the two."""
HARMLESS_WEIGHT: Final = 0.25
"""What the harmless notes count together, for a label, as a share of its own training notes: no more than one each."""
DEV_SHARE: Final = 0.15
"""Of the notes that come without a split, for tuning."""
MIN_TELLING: Final = 3
"""Notes with a label, and notes without it, in a split that tells anything of it."""


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """Notes with their targets and weights by label, NaN where a label is unknown, both (n_notes, n_labels).

    ``ids`` are ``<place of the dataset>:<note_id>``; ``groups`` number alike texts; ``categories`` may be empty text.
    """

    labels: tuple[str, ...]
    ids: Sequence[str]
    notes: Sequence[NoteText]
    categories: Sequence[str]
    targets: Floats
    weights: Floats
    groups: npt.NDArray[np.int64]
    splits: npt.NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.notes)

    def take(self, rows: npt.NDArray[np.int64] | Bools) -> "Corpus":
        """Some of the notes."""
        places = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        return Corpus(
            self.labels,
            [self.ids[place] for place in places],
            [self.notes[place] for place in places],
            [self.categories[place] for place in places],
            self.targets[places],
            self.weights[places],
            self.groups[places],
            self.splits[places],
        )

    def split(self, *names: str) -> "Corpus":
        """The notes of one split, or of several."""
        return self.take(np.isin(self.splits, names))

    def known(self, column: int) -> Bools:
        """Which notes were judged for a label."""
        return np.isfinite(self.targets[:, column])

    def judged(self, column: int) -> tuple["Corpus", Floats]:
        """The notes judged for a label, and whether each has it: 0 or 1."""
        own = self.take(self.known(column))
        return own, (own.targets[:, column] >= 0.5).astype(np.float64)

    def telling_split(self, column: int) -> str:
        """The split to judge a label on: the first of TEST and DEV with enough notes with and without it; or empty."""
        for name in (TEST, DEV):
            _, y = self.split(name).judged(column)
            if min(y.sum(), len(y) - y.sum()) >= MIN_TELLING:
                return name
        return ""


class _Judgement(NamedTuple):
    """A row of ``note_labels``; the note's id is that of the corpus."""

    note_id: str
    label: str
    value: float
    split: str
    weight: float


def read_corpus(
    train: Sequence[Dataset],
    test: Sequence[Dataset] = (),
    *,
    clean: Sequence[Dataset] = (),
    harms: Collection[str] = (),
) -> Corpus:
    """The labelled notes of some datasets: labels are those that ``train`` names, sorted; all of ``test`` is held out.

    Nothing is wrong with the notes of ``clean``: whatever they are labelled, they have none of the ``harms``. A note
    judged twice for a label has the later judgement. DataError where no note has a label, or a label no note.
    """
    judged = [row for place, dataset in enumerate(train) for row in _judgements(dataset, place)]
    labels = tuple(sorted({row.label for row in judged}))
    if not labels:
        raise DataError("no dataset to learn from has note_labels")
    for place, dataset in enumerate(test, start=len(train)):
        judged += [row._replace(split=TEST) for row in _judgements(dataset, place) if row.label in labels]
    notes = {
        f"{place}:{note_id}": note
        for place, dataset in enumerate((*train, *test, *clean))
        for note_id, note in read_notes(dataset).items()
    }
    if missing := {row.note_id for row in judged} - notes.keys():
        raise DataError(f"note_labels: {len(missing):,} of the notes that they judge are not in notes")
    first_clean = len(train) + len(test)
    harmless = [note_id for note_id in notes if int(note_id.partition(":")[0]) >= first_clean]
    judged += _harmless(harmless, [label for label in labels if label in harms], notes)
    return _with_weights(_with_splits(_corpus(labels, judged, notes)))


def _harmless(
    note_ids: Sequence[str], harms: Sequence[str], notes: Mapping[str, tuple[NoteText, str]]
) -> Iterator[_Judgement]:
    """Some of the clean notes, by their text, judged free of each harm."""
    drawn = sorted(note_ids, key=lambda note_id: _share(notes[note_id][0]))[: 2 * MAX_CLEAN]
    for place, note_id in enumerate(drawn):
        for label in harms:
            yield _Judgement(note_id, label, 0.0, CLEAN if place % 2 else HARMLESS, 1.0)


def read_notes(dataset: Dataset) -> dict[str, tuple[NoteText, str]]:
    """The text and the category of each note by id; a category that is missing is empty."""
    dataset.require("notes")
    sql = "SELECT note_id, coalesce(title, ''), body, coalesce(category, '') FROM notes ORDER BY note_id"
    found = dataset.connection.execute(sql).fetchall()
    return {note_id: (NoteText(title, body), category) for note_id, title, body, category in found}


def _judgements(dataset: Dataset, place: int) -> list[_Judgement]:
    sql = """
        SELECT ? || note_id, label, value, coalesce(split, ''), coalesce(weight, 1)
        FROM note_labels ORDER BY note_id, label, decided_at NULLS FIRST
    """
    return list(map(_Judgement._make, dataset.connection.execute(sql, [f"{place}:"]).fetchall()))


def _corpus(labels: tuple[str, ...], judged: Sequence[_Judgement], notes: Mapping[str, tuple[NoteText, str]]) -> Corpus:
    ids = list(dict.fromkeys(row.note_id for row in judged))
    places, columns = {note_id: n for n, note_id in enumerate(ids)}, {name: n for n, name in enumerate(labels)}
    targets = np.full((len(ids), len(labels)), np.nan)
    weights, splits = np.ones_like(targets), np.full(len(ids), "", dtype="<U16")
    for row in judged:
        at = places[row.note_id], columns[row.label]
        targets[at], weights[at] = row.value, row.weight
        splits[at[0]] = row.split or splits[at[0]]
    texts = [notes[note_id][0] for note_id in ids]
    categories = [notes[note_id][1] for note_id in ids]
    return Corpus(labels, ids, texts, categories, targets, weights, alike(texts), splits)


def alike(notes: Sequence[NoteText]) -> npt.NDArray[np.int64]:
    """A number for each note, the same for those whose normalised letters and digits are the same."""
    numbers: dict[bytes, int] = {}
    found = []
    for note in notes:
        plain = "".join(one for one in normalise(f"{note.title}\n{note.body}").text if one.isalnum())
        found.append(numbers.setdefault(hashlib.sha256(plain.encode()).digest(), len(numbers)))
    return np.array(found, np.int64)


def _with_splits(corpus: Corpus) -> Corpus:
    """Every note in a split, and each label with notes to tune on; no text in two splits.

    A note that came without a split, or one of a label without tuning notes, is put by its text alone. What is held
    out was not read before: a note whose text is also in a later split is left out of the earlier.
    """
    splits = corpus.splits.copy()
    if unknown := sorted(set(splits) - {*SPLITS, HARMLESS, CLEAN, ""}):
        raise DataError(f"note_labels: column split: expected {', '.join(SPLITS)}, got {', '.join(unknown)}")
    if TRAIN in splits:
        splits[splits == ""] = TRAIN
    for column in range(len(corpus.labels)):
        known = corpus.known(column)
        if not (known & (splits == DEV)).any():
            for place in np.flatnonzero(known & np.isin(splits, (TRAIN, ""))).tolist():
                splits[place] = DEV if _share(corpus.notes[place]) < DEV_SHARE else TRAIN
    dev, test, clean = (set(corpus.groups[splits == name].tolist()) for name in (DEV, TEST, CLEAN))
    barred = {TRAIN: dev | test, HARMLESS: dev | test | clean, DEV: test}
    placed = zip(corpus.groups.tolist(), splits.tolist(), strict=True)
    kept = np.array([group not in barred.get(split, ()) for group, split in placed])
    return replace(corpus, splits=splits).take(kept)


def _with_weights(corpus: Corpus) -> Corpus:
    """Harmless notes beside a small label count less, so that they don't drown what it is about."""
    weights, harmless = corpus.weights.copy(), corpus.splits == HARMLESS
    for column in range(len(corpus.labels)):
        own = weights[corpus.known(column) & (corpus.splits == TRAIN), column].sum()
        n_harmless = (corpus.known(column) & harmless).sum()
        weights[harmless, column] = min(1.0, HARMLESS_WEIGHT * own / max(n_harmless, 1))
    return replace(corpus, weights=weights)


def _share(note: NoteText) -> float:
    """A number from 0 to 1 by the first letters of a text: alike texts, though not the same, mostly get the same."""
    plain = "".join(one for one in normalise(f"{note.title}\n{note.body}").text if one.isalpha())
    return int.from_bytes(hashlib.sha256(plain[:12].encode()).digest()[:8]) / 2**64

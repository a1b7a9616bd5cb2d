"""Writes what reviewers decided as a dataset in the contract, which ``python -m training quality`` learns from.

There is nothing personal in it: no author, no reviewer, no reporter.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from features.schema import NOTE_LABELS, NOTES
from serving.dataset_files import TableFile, require_free, staged
from serving.errors import ServingError
from serving.instants import SECOND_US
from serving.reviews.desk import UNDO_S
from serving.reviews.labels import labels_of
from serving.store.notes import NoteStore
from serving.store.reviews import Review, ReviewStore

_PAGE: Final = 1_000
_NOTES_AT_ONCE: Final = 200


class ExportedLabels(NamedTuple):
    """How many rows are written of each table."""

    n_notes: int
    n_labels: int


async def export_labels(
    reviews: ReviewStore, notes: NoteStore, folder: Path, *, now: int
) -> AsyncIterator[ExportedLabels]:
    """Write the notes that people decided about, as they judged them, and the labels; what is written so far.

    A note that changed since, or is not stored any more, is left out. The folder appears whole, at the end.
    ServingError for a folder that is not empty, or where there is nothing to write.
    """
    require_free(folder)
    by_note: dict[str, list[Review]] = defaultdict(list)
    async for one in _decided(reviews, before=now - UNDO_S * SECOND_US):
        by_note[one.note_id].append(one)
    with staged(folder) as staging:
        with closing(TableFile(staging, NOTES)) as notes_file, closing(TableFile(staging, NOTE_LABELS)) as labels_file:
            note_ids = sorted(by_note)
            for start in range(0, len(note_ids), _NOTES_AT_ONCE):
                await _write(by_note, note_ids[start : start + _NOTES_AT_ONCE], notes, notes_file, labels_file)
                yield ExportedLabels(notes_file.n_rows, labels_file.n_rows)
        if not any(staging.iterdir()):
            raise ServingError("there is no decision to export yet")


async def _write(
    by_note: Mapping[str, Sequence[Review]],
    note_ids: Sequence[str],
    notes: NoteStore,
    notes_file: TableFile,
    labels_file: TableFile,
) -> None:
    for note_id, stored in sorted((await notes.get_many(note_ids)).items()):
        own = [one for one in by_note[note_id] if one.revision == stored.revision]
        labels = labels_of(own) if own else []
        if labels:
            note = stored.note._asdict()
            kept = {name: note[name] for name in ("note_id", "title", "body", "category", "published_at")}
            notes_file.write([kept])
            labels_file.write(one._asdict() for one in labels)


async def _decided(reviews: ReviewStore, *, before: int) -> AsyncIterator[Review]:
    after = (0, "")
    while page := await reviews.decided(after, before=before, limit=_PAGE):
        for one in page:
            yield one
        after = (page[-1].decided_at or 0, page[-1].review_id)

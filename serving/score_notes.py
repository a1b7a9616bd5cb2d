"""Scores every stored note, block by block, into the scores that lists are made of.

A block is scored and stored whole. A run that was stopped is simply run again: it starts over, and notes that it had
reached get the same scores.
"""

from collections.abc import AsyncIterator
from contextlib import closing
from functools import partial

from models.quality.scorer import QualityScorer
from serving.instants import Clock
from serving.quality import QUALITY, NoteScore, score_note
from serving.settings import Settings
from serving.slots import released_champion
from serving.store.note_scores import NewNoteScore, NoteRun, ScoredLabel
from serving.store.notes import StoredNote
from serving.store.stores import Stores, open_stores
from serving.workers import Workers

_BLOCK = 100
_BLOCK_S = 3_600.0
"""Longer than any block takes."""


async def score_notes(settings: Settings, *, clock: Clock) -> AsyncIterator[tuple[int, int]]:
    """How many notes are scored, and how many are stored, again and again; NoModelError without a champion."""
    model = await released_champion(settings.bundles, QUALITY, clock=clock)
    run = NoteRun(clock(), model.pointer.version, model.pointer.digest)
    async with open_stores(settings) as stores:
        with closing(Workers(n_threads=settings.note_threads)) as workers:
            n_scored, n_notes = 0, await stores.notes.count()
            async for block in _blocks(stores):
                score = partial(_new_score, model.scorer)
                scores = await workers.run_each(score, block, timeout_s=_BLOCK_S)
                await stores.note_scores.put_many(run, [one for one in scores if one])
                n_scored += len(block)
                yield n_scored, max(n_scored, n_notes)


async def _blocks(stores: Stores) -> AsyncIterator[list[StoredNote]]:
    after = ""
    while note_ids := await stores.notes.ids(after, limit=_BLOCK):
        yield [*(await stores.notes.get_many(note_ids)).values()]
        after = note_ids[-1]


def _new_score(scorer: QualityScorer, stored: StoredNote) -> NewNoteScore:
    scored, note = score_note(scorer, stored), stored.note
    judged = scored.judged
    return NewNoteScore(
        note.note_id,
        stored.revision,
        note.author_id,
        note.category,
        stored.known_since,
        judged.quality if judged else None,
        scored.decision,
        _labels(scorer, scored),
    )


def _labels(scorer: QualityScorer, scored: NoteScore) -> list[ScoredLabel]:
    if not scored.judged:
        return []
    chances = zip(scorer.settings.labels, scored.judged.probability, strict=True)
    return [
        ScoredLabel(label.name, label.kind, chance, label.threshold, label in scored.judged.flagged)
        for label, chance in chances
    ]

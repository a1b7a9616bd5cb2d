"""Scores every stored note, block by block, into the scores that lists are made of, and opens the reviews it asks for.

Notes that feeds show and no longer should, or the other way round, are left to the servers to read again.

A block is scored and stored whole. A run that was stopped is simply run again: it starts over, and notes that it had
reached get the same scores.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import closing
from functools import partial

from models.policy.words import SHOWN
from models.quality.scorer import QualityScorer
from serving.folding import Folder
from serving.instants import Clock
from serving.metrics import Metrics
from serving.policies.deciding import NoteDeciding, Sources
from serving.policies.live import Policies
from serving.quality import QUALITY, NoteScore, decide_scored, score_note
from serving.reviews.opening import Opening
from serving.settings import Settings
from serving.slots import released_champion
from serving.store.note_scores import NewNoteScore, NoteRun, ScoredLabel
from serving.store.notes import StoredNote
from serving.store.stores import Stores, open_stores
from serving.workers import Workers

_log = logging.getLogger(__name__)

_BLOCK = 100
_BLOCK_S = 3_600.0
"""Longer than any block takes."""


async def score_notes(settings: Settings, *, clock: Clock) -> AsyncIterator[tuple[int, int]]:
    """How many notes are scored, and how many are stored, again and again; NoModelError without a champion."""
    model = await released_champion(settings.bundles, QUALITY, clock=clock)
    run, metrics = NoteRun(clock(), model.pointer.version, model.pointer.digest), Metrics()
    async with open_stores(settings) as stores:
        with closing(Workers(n_threads=settings.note_threads)) as workers:
            n_scored, n_notes = 0, await stores.notes.count()
            policies = Policies(stores.policies, workers, metrics=metrics, clock=clock)
            await policies.follow()
            folder = Folder(stores.journal, stores.states, workers)
            deciding = NoteDeciding(policies, Sources(folder, stores.reviews), metrics=metrics)
            opening = Opening(stores.reviews, sample_share=settings.review_sample_share, clock=clock)
            async for block in _blocks(stores):
                done = await workers.run_each(partial(score_note, model.scorer), block, timeout_s=_BLOCK_S)
                scores = [one for one in done if isinstance(one, NoteScore)]
                ruled, decided = await decide_scored(deciding, model.scorer, scores, as_of=run.as_of)
                verdicts = await opening.look(ruled, model, decided.policy)
                failed = [note for note, one in zip(block, done, strict=True) if isinstance(one, Exception)]
                if failed:
                    _log.error("notes could not be read", extra={"n": len(failed)})
                    await opening.open_unreadable(failed, model, decided.policy)
                withheld = {note_id: verdict not in SHOWN for note_id, verdict in verdicts.items()}
                await stores.catalogue.read_again(withheld)
                await stores.note_scores.put_many(run, [_new_score(model.scorer, one) for one in ruled])
                n_scored += len(block)
                yield n_scored, max(n_scored, n_notes)


async def _blocks(stores: Stores) -> AsyncIterator[list[StoredNote]]:
    after = ""
    while note_ids := await stores.notes.ids(after, limit=_BLOCK):
        yield [*(await stores.notes.get_many(note_ids)).values()]
        after = note_ids[-1]


def _new_score(scorer: QualityScorer, scored: NoteScore) -> NewNoteScore:
    note, judged = scored.note, scored.judged
    return NewNoteScore(
        note.note_id,
        scored.revision or 0,
        note.author_id,
        note.category,
        scored.known_since or 0,
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

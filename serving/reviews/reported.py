"""Opens a review for each note that users report, with what the model says of it now, or without where it can't."""

from collections.abc import Collection, Iterator, Sequence
from functools import partial
from itertools import takewhile
from typing import Final

from serving.errors import BusyError
from serving.instants import Clock
from serving.policies.deciding import NoteDeciding
from serving.quality import QUALITY, NoteScore, decide_scored, score_note
from serving.reviews.opening import Opening, unreadable
from serving.slots import Slots
from serving.store.notes import NoteStore, StoredNote
from serving.store.reviews import Origin, Report, ReviewStore
from serving.workers import NotReachedError, Workers

_PAGE: Final = 50
_TIMEOUT_S: Final = 5.0


class ReportedNotes:
    """Follows the reports in order; one on a note that the model can't read, or not in time, holds up no other."""

    def __init__(
        self,
        reviews: ReviewStore,
        notes: NoteStore,
        slots: Slots,
        deciding: NoteDeciding,
        opening: Opening,
        workers: Workers,
        *,
        clock: Clock,
    ) -> None:
        self._reviews = reviews
        self._notes = notes
        self._slots = slots
        self._deciding = deciding
        self._opening = opening
        self._workers = workers
        self._clock = clock

    async def follow(self) -> None:
        """Open reviews for the reports that came; while no model is live, or it is too busy, they wait."""
        while reports := await self._reviews.reports(limit=_PAGE):
            reached = await self._take(reports)
            if reached is None:
                return
            await self._reviews.reports_taken(reached)

    async def _take(self, reports: Sequence[Report]) -> int | None:
        """Open reviews for these reports, again without effect; the ``seq`` up to which that is done, None for none."""
        note_ids = [*dict.fromkeys(one.note_id for one in reports if one.note_id)]
        found = await self._notes.get_many(note_ids)
        stored = [found[note_id] for note_id in note_ids if note_id in found]
        if stored:
            try:
                waiting = await self._open(stored)
            except BusyError:
                return None
            if waiting is None:
                return None
            reports = [*_before(reports, waiting)]
        return reports[-1].seq if reports else None

    async def _open(self, stored: Sequence[StoredNote]) -> set[str] | None:
        """Open a review for each of these notes; those that no thread got to, and None while no model is live."""
        model = self._slots.champion(QUALITY)
        if model is None:
            return None
        outcomes = await self._workers.run_each(partial(score_note, model.scorer), stored, timeout_s=_TIMEOUT_S)
        n_reports = await self._reviews.n_reports([one.note.note_id for one in stored])
        scores = [one for one in outcomes if isinstance(one, NoteScore)]
        ruled, decided = await decide_scored(self._deciding, model.scorer, scores, as_of=self._clock())
        new = [
            self._opening.new(
                one, model, decided.policy, origin=Origin.REPORT, n_reports=n_reports.get(one.note.note_id, 0)
            )
            for one in ruled
        ]
        missed = [
            (one, outcome) for one, outcome in zip(stored, outcomes, strict=True) if isinstance(outcome, Exception)
        ]
        new += [
            unreadable(
                one,
                model,
                decided.policy,
                opened_at=self._clock(),
                origin=Origin.REPORT,
                n_reports=n_reports.get(one.note.note_id, 0),
            )
            for one, outcome in missed
            if not isinstance(outcome, NotReachedError)
        ]
        await self._reviews.open_many(new, at=self._clock())
        return {one.note.note_id for one, outcome in missed if isinstance(outcome, NotReachedError)}


def _before(reports: Sequence[Report], waiting: Collection[str]) -> Iterator[Report]:
    """The reports before the first on a note that waits."""
    return takewhile(lambda one: one.note_id not in waiting, reports)

"""What people say of notes from outside: users' reports and authors' appeals, each of which opens a review."""

from collections.abc import Sequence
from typing import Final

from serving.errors import BusyError, ConflictError, InvalidError, NoModelError, NotFoundError
from serving.instants import Clock
from serving.quality import NoteScore, NoteScoring, Unscored
from serving.reviews.opening import Opening
from serving.store.notes import NoteStore
from serving.store.reviews import Origin, Review, ReviewStore

_PAGE: Final = 50


class Voices:
    """Opens reviews for reports and appeals, with what the models say of the notes now."""

    def __init__(
        self, reviews: ReviewStore, notes: NoteStore, scoring: NoteScoring, opening: Opening, *, clock: Clock
    ) -> None:
        self._reviews = reviews
        self._notes = notes
        self._scoring = scoring
        self._opening = opening
        self._clock = clock

    async def follow(self) -> None:
        """Open reviews for the reports that came; while no model is live, or it is too busy, they wait."""
        while reports := await self._reviews.reports(limit=_PAGE):
            stored = [*await self._notes.get_many({one.note_id for one in reports if one.note_id})]
            try:
                if stored and not await self._open(stored):
                    return
            except (NoModelError, BusyError):
                return
            await self._reviews.reports_taken(reports[-1].seq)

    async def _open(self, note_ids: Sequence[str]) -> bool:
        """Open a review for each of these reported notes, again without effect; whether all could be scored."""
        answer = await self._scoring.score(note_ids, explain=False)
        n_reports = await self._reviews.n_reports(note_ids)
        scores = [one for one in answer.results if isinstance(one, NoteScore)]
        new = [
            self._opening.new(
                one, answer.model, answer.policy, origin=Origin.REPORT, n_reports=n_reports.get(one.note.note_id, 0)
            )
            for one in scores
        ]
        await self._reviews.open_many(new, at=self._clock())
        return not any(isinstance(one, Unscored) and one.code == "not_in_time" for one in answer.results)

    async def appeal(self, note_id: str, author_id: str, text: str) -> Review:
        """Open a review of a note for its author, who objects to what was decided about it.

        NotFoundError for a note that is not stored, InvalidError for one by somebody else, ConflictError while an
        appeal waits already, NoModelError while no quality model is live.
        """
        answer = await self._scoring.score([note_id], explain=False)
        score = answer.results[0]
        if isinstance(score, Unscored):
            raise NotFoundError("no note is stored under this id")
        if score.note.author_id != author_id:
            raise InvalidError("only its author can object to what was decided about a note")
        new = self._opening.new(score, answer.model, answer.policy, origin=Origin.APPEAL)
        opened = await self._reviews.appeal(new, text, at=self._clock())
        if opened is None:
            raise ConflictError("an appeal for this note waits already")
        return opened

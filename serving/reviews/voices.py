"""What authors say of decisions about their notes: an appeal opens a review."""

from serving.errors import ConflictError, InvalidError, NotFoundError
from serving.instants import Clock
from serving.quality import NoteScoring, Unscored
from serving.reviews.opening import Opening, unreadable
from serving.store.notes import NoteStore
from serving.store.reviews import Origin, Review, ReviewStore


class Voices:
    """Opens reviews for appeals, with what the models say of the notes now."""

    def __init__(
        self, reviews: ReviewStore, notes: NoteStore, scoring: NoteScoring, opening: Opening, *, clock: Clock
    ) -> None:
        self._reviews = reviews
        self._notes = notes
        self._scoring = scoring
        self._opening = opening
        self._clock = clock

    async def appeal(self, note_id: str, author_id: str, text: str) -> Review:
        """Open a review of a note for its author, who objects to what was decided about it.

        Where the model can't read the note, the review says so.

        NotFoundError for a note that is not stored, InvalidError for one by somebody else, ConflictError while an
        appeal waits already, NoModelError while no quality model is live.
        """
        stored = (await self._notes.get_many([note_id])).get(note_id)
        if stored is None:
            raise NotFoundError("no note is stored under this id")
        if stored.note.author_id != author_id:
            raise InvalidError("only its author can object to what was decided about a note")
        answer = await self._scoring.score([note_id], explain=False)
        score = answer.results[0]
        if isinstance(score, Unscored):
            new = unreadable(stored, answer.model, answer.policy, opened_at=self._clock(), origin=Origin.APPEAL)
        else:
            new = self._opening.new(score, answer.model, answer.policy, origin=Origin.APPEAL)
        opened = await self._reviews.appeal(new, text, at=self._clock())
        if opened is None:
            raise ConflictError("an appeal for this note waits already")
        return opened

"""The notes that the community sends: stored as they are now, and let go when they are old."""

import asyncio
from collections.abc import Sequence
from typing import Final

from features.similarity import signature
from features.state import DAY_US
from features.text.normalise import folded_chars
from serving.each import do_each
from serving.errors import ErasedUserError, FieldProblem, InvalidError, NotFoundError
from serving.instants import CLOCK_SKEW_US, Clock
from serving.metrics import Metrics
from serving.store.notes import MAX_BODY_CHARS, MAX_TITLE_CHARS, Note, NoteStore, StoredNote
from serving.workers import MANY_USERS, Workers

_PAGE: Final = 200
_PAUSE_S: Final = 0.02
"""Between pages of a sweep: other writes come first."""
_CHARS_AT_ONCE: Final = 500
"""The signature of so much text takes a millisecond; that of more is made on a thread."""
_MAX_CHARS: Final = {"title": MAX_TITLE_CHARS, "body": MAX_BODY_CHARS}


def signature_of(note: Note) -> bytes:
    """What near-copies of a note are found by: title and body together, so that a new title does not hide a copy."""
    return signature(f"{note.title}\n{note.body}")


def too_long_field(note: Note) -> str | None:
    """``title`` or ``body``, whichever has too many characters, as written or once folded; None where neither has."""
    for field, most in _MAX_CHARS.items():
        text: str = getattr(note, field)
        if len(text) > most or folded_chars(text) > most:
            return field
    return None


def _signed(note: Note) -> bytes:
    """The note's signature; InvalidError for one that is too long once folded."""
    if field := too_long_field(note):
        detail = f"at most {_MAX_CHARS[field]:,} characters, also where one stands for several (such as ㎏ or ﷺ)"
        raise InvalidError(f"{field}: {detail}", errors=[FieldProblem(f"/{field}", "too_long", detail)])
    return signature_of(note)


class Notes:
    """Stores notes; near-copies are looked for among the ``near_duplicates_among`` newest."""

    def __init__(
        self,
        notes: NoteStore,
        workers: Workers,
        *,
        days: int,
        near_duplicates_among: int,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._notes = notes
        self._workers = workers
        self._days = days
        self._near_duplicates_among = near_duplicates_among
        self._metrics = metrics
        self._clock = clock

    async def put(self, note: Note) -> StoredNote:
        """Store a note in place of the one before.

        InvalidError for one published before 1970 or in the future, or too long once its characters are folded;
        ErasedUserError for one by a user who was erased.
        """
        now = self._clock()
        if not 0 <= (note.published_at or 0) <= now + CLOCK_SKEW_US:
            detail = "must lie between 1970 and five minutes from now"
            raise InvalidError(f"published_at {detail}", errors=[FieldProblem("/published_at", "out_of_range", detail)])
        n_chars = len(note.title) + len(note.body)
        n_chars = n_chars if n_chars > _CHARS_AT_ONCE else folded_chars(note.title + note.body)
        signed = await self._workers.run(n_chars * MANY_USERS // _CHARS_AT_ONCE, _signed, note)
        stored = await self._notes.put(note, signature=signed, at=now)
        if stored is None:
            raise ErasedUserError("nothing more of them is kept")
        return stored

    async def get(self, note_id: str) -> StoredNote:
        """A note as stored; NotFoundError for one that is not."""
        found = await self._notes.get_many([note_id])
        if note_id not in found:
            raise NotFoundError("no note is stored under this id")
        return found[note_id]

    async def known(self, note_ids: Sequence[str]) -> dict[str, StoredNote]:
        """Those of these notes that are stored, by id."""
        return await self._notes.get_many(note_ids)

    async def titles(self, note_ids: Sequence[str]) -> dict[str, str]:
        """The titles of those of these notes that are stored."""
        return {note_id: one.note.title for note_id, one in (await self.known(note_ids)).items()}

    async def delete(self, note_id: str) -> bool:
        """Leave nothing of a note; whether there was one."""
        return await self._notes.delete(note_id)

    async def sweep(self) -> None:
        """Let go of notes that were not put for too long, and of near-copies of long ago."""
        await do_each(lambda sweep: sweep(), (self._retire, self._forget_alike, self._count))

    async def _retire(self) -> None:
        before = self._clock() - self._days * DAY_US
        while await self._notes.retire(before, limit=_PAGE):
            await asyncio.sleep(_PAUSE_S)

    async def _forget_alike(self) -> None:
        while await self._notes.forget_alike(keep=self._near_duplicates_among, limit=_PAGE):
            await asyncio.sleep(_PAUSE_S)

    async def _count(self) -> None:
        self._metrics.notes_stored.set(await self._notes.count())

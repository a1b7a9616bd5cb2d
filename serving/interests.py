"""A user's interests: what the notes they took up are about, and their right to be rid of one."""

import json
from collections.abc import Sequence
from typing import NamedTuple

from serving.errors import ErasedUserError
from serving.instants import Clock
from serving.recommend import HISTORY, NOT_TAKEN_UP
from serving.store.journal import AppendStatus, Fact, FactType, Journal
from serving.store.notes import NoteStore


class Interest(NamedTuple):
    """A category or topic: of how many notes that the user took up, and when last."""

    tag: str
    n_notes: int
    last_at: int


class Interests:
    """Lists and deletes interests. They are nowhere stored: what is deleted is."""

    def __init__(self, journal: Journal, notes: NoteStore, *, clock: Clock) -> None:
        self._journal = journal
        self._notes = notes
        self._clock = clock

    async def of(self, user_id: str) -> list[Interest]:
        """A user's interests, the strongest first; those of notes that are not stored are not known."""
        wishes = await self._journal.wishes(user_id)
        events = await self._journal.note_events(user_id, before=None, limit=HISTORY)
        taken_up = {one.note_id: one.occurred_at for one in events if one.event not in NOT_TAKEN_UP}
        stored = await self._notes.get_many(taken_up.keys()) if taken_up else {}
        found: dict[str, list[int]] = {}
        for note_id, one in stored.items():
            for tag in _tags(one.note.category, one.note.topics):
                if taken_up[note_id] >= wishes.deleted_interests.get(tag, 0):
                    found.setdefault(tag, []).append(taken_up[note_id])
        interests = [Interest(tag, len(instants), max(instants)) for tag, instants in found.items()]
        return sorted(interests, key=lambda one: (-one.n_notes, -one.last_at, one.tag))

    async def delete(self, user_id: str, tag: str) -> int:
        """From now on, nothing done before speaks for this interest; the instant. ErasedUserError for one erased."""
        now = self._clock()
        body = json.dumps({"deleted": tag}, ensure_ascii=False)
        fact = Fact(FactType.INTEREST, user_id, occurred_at=now, received_at=now, body=body)
        if await self._journal.append([fact]) == [AppendStatus.ERASED]:
            raise ErasedUserError("nothing more of them is kept")
        return now


def _tags(category: str | None, topics: Sequence[str]) -> set[str]:
    return {*topics} if category is None else {category, *topics}

"""From journal to states: what keeps every user's state level with the facts, and gives states of the past.

A user's state says up to which ``seq`` their facts are in it. To refresh one is to fold in the facts above that and
to put the result only if the state has not moved meanwhile. Whatever was missed (a crash after the append, a lost
race) is simply included the next time, and nothing can be counted twice.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from features.schema import kind_code
from features.state import NEVER, Event, UserState, UserStates, thousandths
from serving.store.journal import Entry, FactType, Journal
from serving.store.state import StateStore, StateUpdate, StoredState
from serving.workers import Workers

_NOTHING: Final = StoredState(UserState().encode(), 0)
_PAGE: Final = 500
"""How many facts a repair looks at in one go."""
_MANY_LOGS: Final = 100
"""Of how many users the whole journal may be in memory at once."""


def fold(state: UserState, entries: Sequence[Entry]) -> UserState:
    """The state with journal entries added, which ascend; the last profile holds."""
    events = (one for one in entries if one.type == FactType.EVENT)
    state = state.fold(Event(kind_code(one.event or ""), one.occurred_at, thousandths(one.value)) for one in events)
    profiles = [one.body for one in entries if one.type == FactType.PROFILE]
    if not profiles:
        return state
    registered_at = json.loads(profiles[-1] or "{}").get("registered_at")
    return replace(state, registered_at=NEVER if registered_at is None else registered_at)


class Folder:
    """The way from the journal to the states."""

    def __init__(self, journal: Journal, states: StateStore, workers: Workers) -> None:
        self._journal = journal
        self._states = states
        self._workers = workers

    async def refresh(self, user_ids: Iterable[str]) -> None:
        """Bring these users' states up to the journal's end."""
        behind = set(user_ids)
        while behind:
            stored = await self._states.get_many(behind)
            after = {user_id: stored.get(user_id, _NOTHING).applied_seq for user_id in behind}
            entries = await self._journal.entries(after)
            updates = await self._workers.run(len(entries), _updates, stored, entries)
            behind = await self._states.put_many(updates) if updates else set()

    async def repair(self) -> None:
        """Bring every state up to where the journal ends now; the watermark makes the next repair short."""
        mark, end = await self._states.watermark(), await self._journal.last_seq()
        while mark < end:
            touched = await self._journal.touched(mark, limit=_PAGE)
            await self.refresh(touched.user_ids)
            mark = touched.last_seq
            await self._states.advance_watermark(mark)

    async def states_at(self, user_ids: Sequence[str], as_of: int) -> UserStates:
        """The users' states, in order, of only what happened before ``as_of``; empty for a user never heard of.

        A stored state serves where all of it lies before ``as_of``; else that user's journal is folded anew.
        """
        stored = await self._states.get_many(user_ids)
        encoded = [stored.get(user_id, _NOTHING).encoded for user_id in user_ids]
        states = await self._workers.run(len(encoded), UserStates.decode, encoded)
        ahead = np.flatnonzero(states.latest_at >= as_of).tolist()
        if not ahead:
            return states
        for start in range(0, len(ahead), _MANY_LOGS):
            places = ahead[start : start + _MANY_LOGS]
            entries = await self._journal.entries({user_ids[place]: 0 for place in places})
            past = await self._workers.run(len(places), _past, entries, as_of)
            for place in places:
                encoded[place] = past.get(user_ids[place], _NOTHING.encoded)
        return await self._workers.run(len(encoded), UserStates.decode, encoded)


def _updates(stored: Mapping[str, StoredState], entries: Mapping[str, Sequence[Entry]]) -> list[StateUpdate]:
    updates = []
    for user_id, added in entries.items():
        encoded, applied_seq = stored.get(user_id, _NOTHING)
        state = fold(UserState.decode(encoded), added)
        updates.append(StateUpdate(user_id, state.encode(), added[-1].seq, expected_seq=applied_seq))
    return updates


def _past(entries: Mapping[str, Sequence[Entry]], as_of: int) -> dict[str, bytes]:
    """Encoded states of what happened before ``as_of``; a profile is no happening and holds for all time."""
    return {
        user_id: fold(
            UserState(), [one for one in own if one.type == FactType.PROFILE or one.occurred_at < as_of]
        ).encode()
        for user_id, own in entries.items()
    }

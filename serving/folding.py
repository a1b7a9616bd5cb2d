"""From journal to states: what keeps every user's state level with the facts, and gives states of the past.

A user's state says up to which ``seq`` their facts are in it. To refresh one is to fold in the facts above that and
to put the result only if the state has not moved meanwhile. Whatever was missed (a crash after the append, a lost
race) is simply included the next time, and nothing can be counted twice.
"""

import json
import logging
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final, TypeVar

import numpy as np

from features.schema import kind_code
from features.state import NEVER, UNKNOWN_FOLLOWERS, Event, UserState, UserStates, is_readable, thousandths
from serving.each import attempt, raise_all
from serving.errors import StoreError
from serving.store.journal import Entry, FactType, Journal
from serving.store.state import StateStore, StateUpdate, StoredState
from serving.workers import Workers

P = TypeVar("P")

_log = logging.getLogger(__name__)

_NOTHING: Final = StoredState(UserState().encode(), 0)
_PAGE: Final = 500
"""How many facts a repair looks at in one go."""
_REBUILD_PAGE: Final = 5_000
_MANY_LOGS: Final = 100
"""Of how many users the whole journal may be in memory at once."""


def fold(state: UserState, entries: Sequence[Entry]) -> UserState:
    """The state with journal entries added, which ascend; the last profile holds."""
    events = (one for one in entries if one.type == FactType.EVENT)
    state = state.fold(Event(kind_code(one.event or ""), one.occurred_at, thousandths(one.value)) for one in events)
    profiles = [one.body for one in entries if one.type == FactType.PROFILE]
    if not profiles:
        return state
    said = json.loads(profiles[-1] or "{}")
    registered_at, n_followers = said.get("registered_at"), said.get("n_followers")
    return replace(
        state,
        registered_at=NEVER if registered_at is None else registered_at,
        n_followers=UNKNOWN_FOLLOWERS if n_followers is None else n_followers,
        is_minor=bool(said.get("is_minor")),
        personalisation_opt_out=bool(said.get("personalisation_opt_out")),
    )


class Folder:
    """The way from the journal to the states.

    A user whose state is missing (lost, expired or never made) or of another version is folded anew, whole.
    """

    def __init__(self, journal: Journal, states: StateStore, workers: Workers) -> None:
        self._journal = journal
        self._states = states
        self._workers = workers
        self._left_out: list[Exception] = []
        self._n_missed, self._n_caught_up = 1, 0  # level after the first repair
        self._found_end: int | None = None
        self._is_compared = False

    @property
    def is_level(self) -> bool:
        """Whether every fact that this server took is in its user's state; if not, the next repair sees to it."""
        return self._n_missed == self._n_caught_up

    async def refresh(self, user_ids: Iterable[str]) -> None:
        """Bring these users' states up to the journal's end."""
        behind = set(user_ids)
        try:
            while behind:
                stored = await self._states.get_many(behind)
                updates = await self._updates(behind, stored)
                behind = await self._states.put_many(updates) if updates else set()
        except StoreError:
            self._n_missed += 1
            raise

    async def repair(self) -> None:
        """Bring every state up to where the journal ends now; the watermark makes the next repair short.

        A user whose facts can't be folded keeps back no other: why is raised at the end, of all who were left out since
        the last repair.
        """
        n_missed = self._n_missed
        mark, is_ahead = await self._states.watermark(), await self._is_ahead()
        end = await self._journal.last_seq()
        if is_ahead or mark > end:
            _log.warning("the states are ahead of the journal, which must be another one: all are folded anew")
            await self._states.reset(end)
        self._is_compared = True
        async for reached in self._catch_up(mark, end, n_facts=_PAGE):
            await self._states.advance_watermark(reached)
        self._n_caught_up = n_missed
        left_out, self._left_out = self._left_out, []
        raise_all(left_out)

    async def _is_ahead(self) -> bool:
        """Whether states are ahead of the journal as this server found it: it was restored to before they were made.

        Looked at until it is known once. The journal's end is read after the states where both answer at once: other
        servers go on. What this one appends while the states can't be reached may not hide that they are ahead.
        """
        if self._is_compared:
            return False
        is_first = self._found_end is None
        if self._found_end is None:
            self._found_end = await self._journal.last_seq()
        highest = await self._states.highest_seq()
        return highest > (await self._journal.last_seq() if is_first else self._found_end)

    async def rebuild(self) -> AsyncIterator[tuple[int, int]]:
        """Forget every state and make all anew; the ``seq`` reached and the last one, again and again.

        Servers may run meanwhile: a state that they miss they fold themselves.
        """
        end = await self._journal.last_seq()
        await self._states.reset(end)
        async for reached in self._catch_up(0, end, n_facts=_REBUILD_PAGE):
            yield reached, end

    async def _catch_up(self, mark: int, end: int, *, n_facts: int) -> AsyncIterator[int]:
        """Refresh whoever has facts above ``mark``, page by page; the ``seq`` that each page reached."""
        while mark < end:
            touched = await self._journal.touched(mark, limit=n_facts)
            await self.refresh(touched.user_ids)
            mark = touched.last_seq if touched.user_ids else end
            yield mark

    async def states_at(self, user_ids: Sequence[str], as_of: int) -> UserStates:
        """The users' states, in order, of only what happened before ``as_of``; empty for a user never heard of.

        A stored state serves where all of it lies before ``as_of``; else that user's journal is folded anew.
        """
        found = await self._found(user_ids)
        encoded = [found.get(user_id, _NOTHING.encoded) for user_id in user_ids]
        states = await self._workers.run(len(encoded), UserStates.decode, encoded)
        ahead = np.flatnonzero(states.latest_at >= as_of).tolist()
        if not ahead:
            return states
        for places in _portions(ahead):
            entries = await self._journal.history([user_ids[place] for place in places], before=as_of)
            past = await self._workers.run(_n_facts(entries), _past, entries)
            for place in places:
                encoded[place] = past.get(user_ids[place], _NOTHING.encoded)
        return await self._workers.run(len(encoded), UserStates.decode, encoded)

    async def _found(self, user_ids: Sequence[str]) -> dict[str, bytes]:
        """The encoded states of those who have any facts; one that had to be made is put, if that can be done."""
        stored = await self._states.get_many(user_ids)
        found = {user_id: one.encoded for user_id, one in stored.items() if is_readable(one.encoded)}
        if len(found) == len(user_ids):
            return found
        updates = await self._updates([user_id for user_id in user_ids if user_id not in found], stored)
        if updates:
            with suppress(StoreError):
                await self._states.put_many(updates)
        return found | {one.user_id: one.encoded for one in updates}

    async def _updates(self, user_ids: Iterable[str], stored: Mapping[str, StoredState]) -> list[StateUpdate]:
        """What brings users' states to the journal's end; of those folded whole, few logs are in memory at once.

        Whose events were retired is folded whole too: what their state holds is no longer in the journal.
        """
        bases = {user_id: one for user_id, one in stored.items() if is_readable(one.encoded)}
        after = {user_id: bases[user_id].applied_seq for user_id in user_ids if user_id in bases}
        whole = [user_id for user_id in user_ids if user_id not in bases]
        generation = await self._states.generation() if whole else 0
        added = await self._journal.entries(after) if after else {}
        retired = [user_id for user_id, own in added.items() if any(one.type == FactType.RETIRED for one in own)]
        going_on = {user_id: own for user_id, own in added.items() if user_id not in retired}
        folded = await self._workers.run(_n_facts(going_on), _folded, bases, going_on)
        for users in _portions([*whole, *retired]):
            entries = await self._journal.entries(dict.fromkeys(users, 0))
            folded += await self._workers.run(_n_facts(entries), _folded, {}, entries)
        self._left_out += [one for one in folded if isinstance(one, Exception)]
        return [
            one._replace(expected_seq=stored.get(one.user_id, _NOTHING).applied_seq, generation=generation)
            for one in folded
            if isinstance(one, StateUpdate)
        ]


def _portions(whole: Sequence[P]) -> list[Sequence[P]]:
    return [whole[start : start + _MANY_LOGS] for start in range(0, len(whole), _MANY_LOGS)]


def _n_facts(entries: Mapping[str, Sequence[Entry]]) -> int:
    """What there is to fold; a fact takes about as long as a user's state does to be read."""
    return sum(map(len, entries.values()))


def _folded(bases: Mapping[str, StoredState], entries: Mapping[str, Sequence[Entry]]) -> list[StateUpdate | Exception]:
    """What brings each user's state to the journal's end, or why that can't be worked out."""
    return [attempt(_folded_one, user_id, bases.get(user_id, _NOTHING), added) for user_id, added in entries.items()]


def _folded_one(user_id: str, base: StoredState, added: Sequence[Entry]) -> StateUpdate:
    state = fold(UserState.decode(base.encoded), added)
    return StateUpdate(user_id, state.encode(), added[-1].seq, expected_seq=base.applied_seq)


def _past(entries: Mapping[str, Sequence[Entry]]) -> dict[str, bytes]:
    """Encoded states of histories; a profile is no happening and holds for all time.

    Users whose facts can't be folded are left out.
    """
    past = {user_id: attempt(_past_one, own) for user_id, own in entries.items()}
    return {user_id: one for user_id, one in past.items() if isinstance(one, bytes)}


def _past_one(history: Sequence[Entry]) -> bytes:
    return fold(UserState(), history).encode()

"""People's rights: what is held of a user, and erasing them, in every store.

An erasure begins with a tombstone, after which the journal takes nothing more of the user, and ends when every store
has done its part. Until then the user's id is on the list of pending erasures: whatever stops it in between, the next
repair of any server goes on.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from serving.errors import NotFoundError
from serving.instants import SECOND_US, Clock
from serving.metrics import Metrics
from serving.store.assignments import AssignmentsHeld, AssignmentStore
from serving.store.erasure import Erasable, ErasureLog
from serving.store.journal import Journal, JournalHeld
from serving.store.kpis import KpiStore, UserSegment
from serving.store.notes import NotesHeld, NoteStore
from serving.store.recommendations import RecommendationLog, RecommendationsHeld
from serving.store.reviews import ReviewsHeld, ReviewStore
from serving.store.scores import Score, ScoreStore
from serving.store.state import StateStore, StoredState

_log = logging.getLogger(__name__)

_PAGE: Final = 100
_WAIT_S: Final = 10
_LONGEST_WAIT_S: Final = 600

_NOTHING: Final = JournalHeld(profile=None, n_profiles=0, events=[], n_mentions=0)


class Held(NamedTuple):
    """All that is held of a user, by store."""

    journal: JournalHeld
    state: StoredState | None
    scores: Sequence[Score]
    notes: NotesHeld | None
    reviews: ReviewsHeld | None
    recommendations: RecommendationsHeld | None
    assignments: AssignmentsHeld | None
    segment: UserSegment | None


class Erased(NamedTuple):
    """Since when a user is erased, and the stores that could not do their part yet: repairs will."""

    erased_at: int
    unreached: list[str]


class Rights:
    """Answers a user's request to see what is held of them, or to be erased."""

    def __init__(
        self,
        erasures: ErasureLog,
        journal: Journal,
        states: StateStore,
        scores: ScoreStore,
        notes: NoteStore,
        reviews: ReviewStore,
        recommendations: RecommendationLog,
        assignments: AssignmentStore,
        kpis: KpiStore,
        *,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._erasures = erasures
        self._journal = journal
        self._states = states
        self._scores = scores
        self._notes = notes
        self._reviews = reviews
        self._recommendations = recommendations
        self._assignments = assignments
        self._kpis = kpis
        self._metrics = metrics
        self._clock = clock
        self._stores: Mapping[str, Erasable] = {  # states are made from facts, and scores from states
            "journal": journal,
            "states": states,
            "scores": scores,
            "notes": notes,
            "reviews": reviews,
            "recommendations": recommendations,
            "assignments": assignments,
            "kpis": kpis,
        }

    async def held(self, user_id: str) -> Held:
        """All that is held of a user; NotFoundError for one of whom nothing is."""
        facts, state = await self._journal.held(user_id), await self._states.held(user_id)
        scores, notes = await self._scores.held(user_id), await self._notes.held(user_id)
        reviews, recommendations = await self._reviews.held(user_id), await self._recommendations.held(user_id)
        assignments = await self._assignments.held(user_id)
        segment = await self._kpis.held(user_id)
        if not (facts or state or scores or notes or reviews or recommendations or assignments or segment):
            raise NotFoundError("nothing is held of this user")
        return Held(facts or _NOTHING, state, scores or [], notes, reviews, recommendations, assignments, segment)

    async def erase(self, user_id: str) -> Erased:
        """Erase a user; to erase again changes nothing."""
        erased_at = await self._erasures.begin(user_id, self._clock())
        return Erased(erased_at, [*await self._erase_everywhere(user_id)])

    async def finish_pending(self) -> list[Exception]:
        """Go on with erasures that were begun; what kept stores from their part.

        One that can't be finished is tried again later and later, after the others.
        """
        failures: list[Exception] = []
        for one in await self._erasures.pending(at=self._clock(), limit=_PAGE):
            if unreached := await self._erase_everywhere(one.user_id):
                wait_s = min(_LONGEST_WAIT_S, _WAIT_S * one.n_attempts)
                await self._erasures.postpone(one.user_id, try_at=self._clock() + wait_s * SECOND_US)
                failures += unreached.values()
        self._metrics.pending_erasures.set((await self._erasures.backlog()).n)
        return failures

    async def _erase_everywhere(self, user_id: str) -> dict[str, Exception]:
        """Erase a user in each store, and finish; the stores that can't now, with why."""
        unreached = {}
        for name, store in self._stores.items():
            (outcome,) = await asyncio.gather(store.erase(user_id), return_exceptions=True)
            if isinstance(outcome, Exception):
                unreached[name] = outcome
        if unreached:
            _log.warning("an erasure waits for stores", extra={"stores": [*unreached]})
        else:
            await self._erasures.finish(user_id)
        return unreached

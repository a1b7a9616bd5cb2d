"""How facts come in: checked, appended to the journal, folded into the states."""

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from features.schema import KIND_CODES, MAX_VALUE
from serving.errors import ErasedUserError, FieldProblem, InvalidError, StoreError
from serving.feedback import Feedback, event_of
from serving.folding import Folder
from serving.instants import CLOCK_SKEW_US, SECOND_US, Clock
from serving.metrics import Metrics
from serving.store.journal import AppendStatus, Fact, FactType, Journal

_log = logging.getLogger(__name__)

REJECTED: Final = "rejected"
UNKNOWN_EVENT: Final = "unknown_event"

DETAILS: Final = {
    "future_event": "occurred_at lies more than five minutes ahead",
    "before_1970": "occurred_at lies before 1970",
    "value_out_of_range": f"value must lie between {-MAX_VALUE:.0f} and {MAX_VALUE:.0f}",
    "event_id_conflict": "another event was accepted under this event_id",
    "erased_user": "this user was erased: nothing more of them is kept",
}
"""Why an event was not taken, by code."""


class Outcome(NamedTuple):
    """What became of an event: accepted, duplicate, conflict or rejected, and why."""

    status: str
    code: str | None = None
    warnings: tuple[str, ...] = ()


class Ingested(NamedTuple):
    """An outcome per event; ``folded`` is false where the states follow only later."""

    outcomes: list[Outcome]
    folded: bool


class Ingest:
    """The way in."""

    def __init__(self, journal: Journal, folder: Folder, *, metrics: Metrics, clock: Clock) -> None:
        self._journal = journal
        self._folder = folder
        self._metrics = metrics
        self._clock = clock

    async def events(self, events: Sequence[Fact], *, n_malformed: int = 0) -> Ingested:
        """Take events; once this returns they are durable, and (if folded) their users' next scores see them.

        ``n_malformed`` more came with them that can't be read.
        """
        now = self._clock()
        codes = [_rejection(event, now) for event in events]
        good = [event._replace(received_at=now) for event, code in zip(events, codes, strict=True) if code is None]
        appended = await self._journal.append(good) if good else []
        self._metrics.batch_size.observe([len(events)], "ingest")
        new = [event for event, status in zip(good, appended, strict=True) if status is AppendStatus.ACCEPTED]
        self._metrics.ingest_lag.observe([(now - event.occurred_at) / SECOND_US for event in new])
        statuses = iter(appended)
        outcomes = [
            Outcome(REJECTED, code) if code else _outcome(event, next(statuses))
            for event, code in zip(events, codes, strict=True)
        ]
        for result, n in (Counter(outcome.status for outcome in outcomes) + Counter({REJECTED: n_malformed})).items():
            self._metrics.events.labels(result).inc(n)
        return Ingested(outcomes, await self._fold({event.user_id for event in good}))

    async def feedback(self, feedback: Sequence[Feedback], *, n_malformed: int = 0) -> Ingested:
        """Take feedback as the events that it is; what does not say when happened now.

        Under an id that is made of all that it says, it can only be the same again.
        """
        now = self._clock()
        outcomes, folded = await self.events([event_of(one, now=now) for one in feedback], n_malformed=n_malformed)
        again = Outcome(AppendStatus.DUPLICATE)
        pairs = zip(feedback, outcomes, strict=True)
        known = [again if had.status == AppendStatus.CONFLICT and not one.feedback_id else had for one, had in pairs]
        return Ingested(known, folded)

    async def profile(self, user_id: str, profile: Mapping[str, Any]) -> bool:
        """Take a user's profile (instants as integers), durably; false where the state follows only later.

        InvalidError for a registration before 1970 or in the future; ErasedUserError for a user who was erased.
        """
        now = self._clock()
        if not 0 <= (profile["registered_at"] or 0) <= now + CLOCK_SKEW_US:
            detail = "must lie between 1970 and now"
            raise InvalidError(
                f"registered_at {detail}", errors=[FieldProblem("/registered_at", "out_of_range", detail)]
            )
        body = json.dumps(profile, sort_keys=True)
        fact = Fact(FactType.PROFILE, user_id, occurred_at=now, received_at=now, body=body)
        if await self._journal.append([fact]) == [AppendStatus.ERASED]:
            raise ErasedUserError("nothing more of them is kept")
        return await self._fold({user_id})

    async def _fold(self, user_ids: set[str]) -> bool:
        try:
            await self._folder.refresh(user_ids)
        except StoreError:
            self._metrics.fold_failures.inc()
            _log.warning("facts stored but not folded yet: the next repair will")
            return False
        return True


def _rejection(event: Fact, now: int) -> str | None:
    if event.occurred_at > now + CLOCK_SKEW_US:
        return "future_event"
    if event.occurred_at < 0:
        return "before_1970"
    if event.value is not None and not abs(event.value) <= MAX_VALUE:
        return "value_out_of_range"
    return None


def _outcome(event: Fact, status: AppendStatus) -> Outcome:
    if status is AppendStatus.ERASED:
        return Outcome(REJECTED, "erased_user")
    code = "event_id_conflict" if status is AppendStatus.CONFLICT else None
    return Outcome(status, code, () if event.event in KIND_CODES else (UNKNOWN_EVENT,))

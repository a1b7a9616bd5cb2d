"""Events: what users do."""

from fastapi import APIRouter, Request

from serving.deps import FactIngest, GuardedRoute
from serving.ingest import DETAILS, Outcome
from serving.instants import to_us
from serving.middleware import call_of
from serving.schemas.entries import DETAIL, MALFORMED, Malformed, merged, well_formed
from serving.schemas.events import EventIn, EventResult, EventResults, Events
from serving.store.journal import Fact, FactType

router = APIRouter(prefix="/v1", tags=["events"], route_class=GuardedRoute)


@router.post("/events")
async def add_events(body: Events, ingest: FactIngest, request: Request) -> EventResults:
    """Store up to 1,000 events; a result for each, in order.

    What is `accepted` is on disk, and its user's next score sees it. An `event_id` counts once: the same event sent
    again is a `duplicate`, another event under it a `conflict`. Events may come late, in any order. One that is
    malformed is `rejected` for itself, unless all are.
    """
    events = well_formed(body.events)
    n_malformed = len(body.events) - len(events)
    outcomes, folded = await ingest.events([_fact(event) for event in events], n_malformed=n_malformed)
    taken = [_result(event, outcome) for event, outcome in zip(events, outcomes, strict=True)]
    results = [_malformed(one) if isinstance(one, Malformed) else one for one in merged(body.events, taken)]
    return EventResults(**call_of(request).meta, degraded=[] if folded else ["states"], results=results)


def _fact(event: EventIn) -> Fact:
    fields = dict(event)
    fields["occurred_at"] = to_us(event.occurred_at)
    return Fact(FactType.EVENT, received_at=0, **fields)


def _result(event: EventIn, outcome: Outcome) -> EventResult:
    return EventResult.model_construct(
        event_id=event.event_id,
        status=str(outcome.status),
        code=outcome.code,
        detail=DETAILS.get(outcome.code) if outcome.code else None,
        warnings=list(outcome.warnings),
    )


def _malformed(entry: Malformed) -> EventResult:
    return EventResult(
        event_id=entry.named("event_id"),
        status="rejected",
        code=MALFORMED,
        detail=DETAIL,
        warnings=[],
        errors=entry.said("events"),
    )

"""Events: what users do."""

from fastapi import APIRouter, Request

from serving.deps import FactIngest, GuardedRoute
from serving.ingest import DETAILS, Outcome
from serving.instants import to_us
from serving.middleware import call_of
from serving.schemas.events import EventIn, EventResult, EventResults, Events
from serving.store.journal import Fact, FactType

router = APIRouter(prefix="/v1", tags=["events"], route_class=GuardedRoute)


@router.post("/events")
async def add_events(body: Events, ingest: FactIngest, request: Request) -> EventResults:
    """Store up to 1,000 events; a result for each, in order.

    What is `accepted` is on disk, and its user's next score sees it. An `event_id` counts once: the same event sent
    again is a `duplicate`, another event under it a `conflict`. Events may come late, in any order.
    """
    outcomes, folded = await ingest.events([_fact(event) for event in body.events])
    results = [_result(event, outcome) for event, outcome in zip(body.events, outcomes, strict=True)]
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

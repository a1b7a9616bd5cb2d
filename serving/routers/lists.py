"""Lists of users by their latest scores."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from serving.audience import attachment, csv_of
from serving.churn import CHURN
from serving.deps import GuardedRoute, ListServices
from serving.instants import to_datetime
from serving.lists import Listed
from serving.middleware import call_of
from serving.schemas.lists import ListedUser, ListedUsers, ScoredBy, Wanted, WantedPage

_CSV: Final[dict[int | str, dict[str, Any]]] = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}

router = APIRouter(prefix="/v1", tags=["users"], route_class=GuardedRoute)


@router.get("/users")
async def list_users(services: ListServices, wanted: Annotated[WantedPage, Query()], request: Request) -> ListedUsers:
    """List users at risk who may be contacted, as `python -m serving score-all` last scored them, most at risk first.

    Who opted out, is a minor, is held out, or had an action within its cooldown is left out, unless `with_withheld`.
    Pages go on from `next_cursor` while `has_more`; a user whose score does not change meanwhile is listed once.
    """
    page = await services.lists.page(wanted.bounds(), cursor=wanted.cursor, limit=wanted.limit)
    return ListedUsers(
        **call_of(request).meta,
        horizon_days=page.horizon_days,
        results=[_listed(one) for one in page.users],
        has_more=page.next_cursor is not None,
        next_cursor=page.next_cursor,
    )


@router.get("/users.csv", response_class=StreamingResponse, responses=_CSV)
async def export_users(services: ListServices, wanted: Annotated[Wanted, Query()]) -> StreamingResponse:
    """Export the whole list as CSV, as it is being read.

    It begins with a byte order mark, and instants are local times of the community, as spreadsheets read them. An id
    that a spreadsheet would take for a formula has an apostrophe before it. A body that ends before the chunked
    transfer does is not complete: the store failed on the way.
    """
    parts = await services.lists.everyone(wanted.bounds())
    await services.audit.record_export("users")
    headers = attachment("流失名单", services.clock())
    return StreamingResponse(csv_of(parts, services.workers), headers=headers, media_type="text/csv; charset=utf-8")


def _listed(listed: Listed) -> ListedUser:
    score = listed.score
    return ListedUser(
        user_id=score.user_id,
        status=score.status,
        probability=score.probability,
        threshold=score.threshold,
        at_risk=score.at_risk,
        withheld=[*listed.withheld],
        last_active_at=None if score.last_active_at is None else to_datetime(score.last_active_at),
        changed_at=to_datetime(score.changed_at),
        as_of=to_datetime(score.run.as_of),
        model=ScoredBy(name=CHURN.model, version=score.run.version, digest=score.run.digest),
    )

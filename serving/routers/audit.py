"""The audit log: who did what."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from serving.cursor import BY_NUMBER, read_cursor, write_cursor
from serving.deps import AuditAdmin, GuardedRoute
from serving.instants import to_datetime
from serving.middleware import call_of
from serving.schemas.audit import AuditEntries, AuditEntryOut, WantedEntries
from serving.store.audit import AuditEntry

router = APIRouter(prefix="/v1", tags=["audit"], route_class=GuardedRoute)


@router.get("/audit")
async def list_audit(audit: AuditAdmin, wanted: Annotated[WantedEntries, Query()], request: Request) -> AuditEntries:
    """List who did what to what, when and from where, the newest first; nothing in it is ever changed."""
    query = wanted.query()
    before_no = read_cursor(query, wanted.cursor, BY_NUMBER)[0] if wanted.cursor else None
    found = await audit.page(query, before_no=before_no, limit=wanted.limit + 1)
    shown, has_more = found[: wanted.limit], len(found) > wanted.limit
    return AuditEntries(
        **call_of(request).meta,
        results=[_entry(one) for one in shown],
        has_more=has_more,
        next_cursor=write_cursor(query, (shown[-1].entry_no,)) if has_more else None,
    )


def _entry(entry: AuditEntry) -> AuditEntryOut:
    return AuditEntryOut(**{**entry._asdict(), "occurred_at": to_datetime(entry.occurred_at)})

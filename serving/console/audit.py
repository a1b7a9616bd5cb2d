"""The audit log 审计日志: who did what to what, when and from where."""

from enum import StrEnum
from typing import Final, TypeVar
from urllib.parse import urlencode

from starlette.responses import Response

from serving.acting import ActorKind
from serving.console.pages import Page, Pages
from serving.cursor import BY_NUMBER, read_cursor, write_cursor
from serving.errors import InvalidError
from serving.store.audit import Action, ActionOutcome, AuditQuery, TargetKind
from serving.store.reviewers import Permission

PAGES: Final = Pages()
_LIMIT: Final = 50
_MAX_ID: Final = 128

E = TypeVar("E", bound=StrEnum)


@PAGES.page("/audit", needs=Permission.ADMIN)
async def show_audit(page: Page) -> Response:
    """A page of the log, the newest first."""
    query = AuditQuery(
        action=_one_of(page, "action", Action),
        actor_kind=_one_of(page, "actor_kind", ActorKind),
        actor=page.asked("actor") or None,
        target_kind=_one_of(page, "target_kind", TargetKind),
        target=page.asked("target") or None,
        outcome=_one_of(page, "outcome", ActionOutcome),
    )
    cursor = page.asked("cursor")
    before_no = read_cursor(query, cursor, BY_NUMBER)[0] if cursor else None
    found = await page.services.audit.page(query, before_no=before_no, limit=_LIMIT + 1)
    shown = found[:_LIMIT]
    people = await page.services.reviewers.all()
    return page.render(
        "audit.html",
        query=query,
        asked=urlencode({name: value for name, value in query._asdict().items() if value}),
        entries=shown,
        next_cursor=write_cursor(query, (shown[-1].entry_no,)) if len(found) > _LIMIT else None,
        names={one.reviewer_id: one.name for one in people},
        people=people,
        actions=list(Action),
        kinds=list(ActorKind),
        outcomes=list(ActionOutcome),
    )


@PAGES.page("/audit/find", method="POST", needs=Permission.ADMIN)
async def find_user(page: Page) -> Response:
    """To what was done to a user: their pseudonym is part of the query, their id of none."""
    user_id = page.field("user_id").strip()
    if not 0 < len(user_id) <= _MAX_ID:
        raise InvalidError(page.language.say("请填写用户 ID"))
    asked = {"target_kind": TargetKind.USER, "target": await page.services.audit.pseudonym(user_id)}
    return page.go(f"/console/audit?{urlencode(asked)}")


def _one_of(page: Page, name: str, kind: type[E]) -> E | None:
    asked = page.asked(name)
    return next((one for one in kind if one == asked), None)

"""The people 人员 who review: who they are, and for admins adding and ending them."""

import secrets
from typing import Final

from starlette.responses import Response

from serving.console.pages import Page, Pages
from serving.errors import InvalidError
from serving.store.reviewers import Role

PAGES: Final = Pages()
_MAX_NAME: Final = 64


@PAGES.page("/people")
async def show_people(page: Page) -> Response:
    """Everyone, with how much they decided in the last week."""
    return await _people(page)


@PAGES.page("/people/add", method="POST", role=Role.ADMIN)
async def add(page: Page) -> Response:
    """Add a person; their password is shown this once."""
    name, role = page.field("name").strip(), page.field("role")
    if not name or len(name) > _MAX_NAME or role not in {*Role}:
        raise InvalidError(page.language.say("请填写姓名和角色"))
    password = secrets.token_urlsafe(12)
    await page.services.reviewers.add(name, Role(role), password)
    return await _people(page, made=(name, password))


@PAGES.page("/people/disable", method="POST", role=Role.ADMIN)
async def disable(page: Page) -> Response:
    """Let a person do nothing more."""
    await page.services.reviewers.disable(page.field("name"))
    return page.go("/console/people")


async def _people(page: Page, *, made: tuple[str, str] | None = None) -> Response:
    summary = await page.services.summaries.of(since=None, before=None)
    return page.render(
        "people.html",
        people=await page.services.reviewers.all(),
        decided={name: sum(own.values()) for name, own in summary.decided.items()},
        roles=list(Role),
        is_admin=page.may(Role.ADMIN),
        made=made,
    )

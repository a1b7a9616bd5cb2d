"""The people 人员 who review or run the community: who they are, and for admins their roles, accounts and end."""

import secrets
from typing import Final

from starlette.responses import Response

from serving.console.pages import Page, Pages
from serving.errors import InvalidError
from serving.store.reviewers import Permission, Role

PAGES: Final = Pages()
PEOPLE: Final = "/console/people"
_MAX_NAME: Final = 64


@PAGES.page("/people", needs=Permission.LEAD)
async def show_people(page: Page) -> Response:
    """Everyone, with how much they decided in the last week."""
    return await _people(page)


@PAGES.page("/people/add", method="POST", needs=Permission.ADMIN)
async def add(page: Page) -> Response:
    """Add a person; their password is shown this once. With ``elsewhere`` they have none."""
    name, role = page.field("name").strip(), _role(page)
    if not name or len(name) > _MAX_NAME:
        raise InvalidError(page.language.say("请填写姓名和角色"))
    password = None if page.field("elsewhere") else secrets.token_urlsafe(12)
    await page.services.reviewers.add(name, role, password)
    return await _people(page, made=(name, password))


@PAGES.page("/people/role", method="POST", needs=Permission.ADMIN)
async def change_role(page: Page) -> Response:
    """Change what another person may do; they sign in anew."""
    await page.services.reviewers.set_role(_another(page), _role(page))
    return page.go(PEOPLE)


@PAGES.page("/people/account", method="POST", needs=Permission.ADMIN)
async def bind(page: Page) -> Response:
    """Confirm the account that asks to be a person's, as it was shown; an empty one forgets what was confirmed."""
    await page.services.reviewers.bind(page.field("name"), page.field("subject") or None)
    return page.go(PEOPLE)


@PAGES.page("/people/disable", method="POST", needs=Permission.ADMIN)
async def disable(page: Page) -> Response:
    """Let another person do nothing more."""
    await page.services.reviewers.disable(_another(page))
    return page.go(PEOPLE)


def _role(page: Page) -> Role:
    role = page.field("role")
    if role not in {*Role}:
        raise InvalidError(page.language.say("请填写姓名和角色"))
    return Role(role)


def _another(page: Page) -> str:
    """Whom a form names: nobody ends or demotes themselves, so that an admin stays."""
    name = page.field("name")
    if name == page.who.name:
        raise InvalidError(page.language.say("不能停用自己，也不能更改自己的角色"))
    return name


async def _people(page: Page, *, made: tuple[str, str | None] | None = None) -> Response:
    summary = await page.services.summaries.of(since=None, before=None)
    return page.render(
        "people.html",
        people=await page.services.reviewers.all(),
        decided={name: sum(own.values()) for name, own in summary.decided.items()},
        roles=list(Role),
        is_admin=page.may(Permission.ADMIN),
        elsewhere=page.services.identity_provider is not None,
        made=made,
    )

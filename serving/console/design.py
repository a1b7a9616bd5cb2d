"""The design system 设计规范: every piece that pages are made of, on one page."""

from typing import Final

from starlette.responses import Response

from serving.console.pages import Page, Pages
from serving.store.reviewers import Permission

PAGES: Final = Pages()


@PAGES.page("/design", needs=Permission.OWN)
async def show_design(page: Page) -> Response:
    """The pieces."""
    return page.render("design.html")

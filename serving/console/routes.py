"""Every route of the console."""

from importlib.resources import files
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from serving.console import audit, design, desk, models, oidc, overview, people, policy, queue, signing, users
from serving.console.pages import lost
from serving.console.routing import FilesRoute, PageRoute

_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_PARTS: Final = (signing, desk, queue, users, overview, models, policy, people, audit, design)


class Static(StaticFiles):
    """The files that pages are drawn with; what is none of them is a page that says so."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """See ``StaticFiles``."""
        try:
            response = await super().get_response(path, scope)
        except HTTPException:
            return await lost(Request(scope))
        response.headers["Cache-Control"] = "no-cache"  # nothing of anybody: kept, and asked for again by its ETag
        return response


def console_routes() -> list[BaseRoute]:
    """The pages, and what they are drawn with."""
    static = FilesRoute("/console/static", Static(directory=str(files("serving.console").joinpath("static"))))
    elsewhere = PageRoute("/console/{path:path}", lost, methods=_METHODS)
    parts = (route for part in _PARTS for route in part.PAGES.routes)
    return [*signing.ROUTES, *oidc.ROUTES, *parts, static, elsewhere]

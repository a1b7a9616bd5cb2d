"""Every route of the console."""

from importlib.resources import files
from typing import Final

from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

from serving.console import design, desk, models, oidc, overview, people, policy, queue, signing, users

_PARTS: Final = (desk, queue, users, overview, models, policy, people, design)


def console_routes() -> list[BaseRoute]:
    """The pages, and what they are drawn with."""
    static = Mount("/console/static", StaticFiles(directory=str(files("serving.console").joinpath("static"))))
    return [*signing.ROUTES, *oidc.ROUTES, *(route for part in _PARTS for route in part.PAGES.routes), static]

"""Routes that say which they are: requests are counted and logged by their template, as those of the API are."""

from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send


class PageRoute(Route):
    """A route whose requests are known by its template."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ``Route``."""
        scope["route"] = self
        await super().handle(scope, receive, send)


class FilesRoute(Mount):
    """Files whose requests are known by where they lie."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ``Mount``."""
        scope["route"] = self
        await super().handle(scope, receive, send)

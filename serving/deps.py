"""What routers depend on."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from operator import attrgetter
from typing import Annotated, Any, Final, Generic, TypeVar

from fastapi import Depends, Request, Response
from fastapi.openapi.models import APIKey
from fastapi.routing import APIRoute
from fastapi.security.base import SecurityBase

from serving.churn import ChurnScoring
from serving.folding import Folder
from serving.ingest import Ingest
from serving.json_body import JsonRequest
from serving.lists import UserLists
from serving.metrics import Metrics
from serving.retention import Retention
from serving.rights import Rights
from serving.security import KeyRing, Scope
from serving.slots import Slots
from serving.store.journal import Journal
from serving.store.state import StateStore
from serving.workers import Workers

S = TypeVar("S")

HEADER: Final = "X-API-Key"


@dataclass(frozen=True, slots=True)
class Services:
    """What one running app is made of."""

    journal: Journal
    states: StateStore
    key_ring: KeyRing
    slots: Slots
    folder: Folder
    ingest: Ingest
    churn: ChurnScoring
    rights: Rights
    retention: Retention
    lists: UserLists
    workers: Workers
    metrics: Metrics
    max_body_bytes: int


class Door(SecurityBase, Generic[S]):
    """A dependency that hands out a service, to requests whose key has one of the scopes.

    Checking and handing out in one keeps it to one dependency a request: each costs about 9 us, as much as reading a
    user's state. Being a coroutine matters too: FastAPI would run a plain function on a thread.
    """

    def __init__(self, pick: Callable[[Services], S], *scopes: Scope) -> None:
        self.model = APIKey.model_validate({"in": "header", "name": HEADER})
        self.scheme_name = "key"
        self._pick = pick
        self._scopes = scopes

    async def open(self, request: Request) -> None:
        """UnauthenticatedError or ForbiddenError for a request whose key may not pass."""
        await services_of(request).key_ring.require(request.headers.get(HEADER), self._scopes)
        request.state.opened = self

    async def __call__(self, request: Request) -> S:
        """The service. A route that did not open this door before is a mistake of ours, and stays shut."""
        if getattr(request.state, "opened", None) is not self:
            raise RuntimeError("a route with a door must be a GuardedRoute")
        service: S = self._pick(services_of(request))
        return service


class GuardedRoute(APIRoute):
    """A route that asks for the key before it reads the body: nobody learns anything of a door that is shut to them."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See ``APIRoute``."""
        handle = super().get_route_handler()
        doors = [one.call for one in self.dependant.dependencies if isinstance(one.call, Door)]

        async def guarded(request: Request) -> Response:
            for door in doors:
                await door.open(request)
            return await handle(JsonRequest(request.scope, request.receive))

        return guarded


def services_of(request: Request) -> Services:
    """All of the app, for routes that are open to everyone."""
    services: Services = request.app.state.services
    return services


UserScoring = Annotated[ChurnScoring, Depends(Door(attrgetter("churn"), Scope.SCORE))]
FactIngest = Annotated[Ingest, Depends(Door(attrgetter("ingest"), Scope.INGEST))]
UserRights = Annotated[Rights, Depends(Door(attrgetter("rights"), Scope.PRIVACY))]
LiveSlots = Annotated[Slots, Depends(Door(attrgetter("slots"), Scope.SCORE, Scope.ADMIN))]
ListServices = Annotated[Services, Depends(Door(lambda services: services, Scope.SCORE, Scope.ADMIN))]
OpenModels = Annotated[Services, Depends(Door(lambda services: services, Scope.SCORE))]

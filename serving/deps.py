"""What routers depend on."""

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Annotated, Final, Generic, TypeVar

from fastapi import Depends, Request
from fastapi.openapi.models import APIKey
from fastapi.security.base import SecurityBase

from serving.churn import ChurnScoring
from serving.folding import Folder
from serving.ingest import Ingest
from serving.metrics import Metrics
from serving.security import KeyRing, Scope
from serving.slots import Slots
from serving.store.journal import Journal
from serving.store.state import StateStore

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
    metrics: Metrics


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

    async def __call__(self, request: Request) -> S:
        """The service; UnauthenticatedError or ForbiddenError for a request that may not have it."""
        services = services_of(request)
        await services.key_ring.require(request.headers.get(HEADER), self._scopes)
        return self._pick(services)


def services_of(request: Request) -> Services:
    """All of the app, for routes that are open to everyone."""
    services: Services = request.app.state.services
    return services


UserScoring = Annotated[ChurnScoring, Depends(Door(attrgetter("churn"), Scope.SCORE))]
FactIngest = Annotated[Ingest, Depends(Door(attrgetter("ingest"), Scope.INGEST))]
LiveSlots = Annotated[Slots, Depends(Door(attrgetter("slots"), Scope.SCORE, Scope.ADMIN))]

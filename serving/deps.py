"""What routers depend on. Dependencies are coroutines: FastAPI would run plain functions on threads."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader

from serving.churn import ChurnScoring
from serving.folding import Folder
from serving.ingest import Ingest
from serving.instants import Clock
from serving.metrics import Metrics
from serving.middleware import Call
from serving.security import KeyRing, Scope
from serving.slots import Slots
from serving.store.journal import Journal
from serving.store.state import StateStore


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
    clock: Clock


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


async def _call(request: Request) -> Call:
    call: Call = request.state.call
    return call


async def _churn(request: Request) -> ChurnScoring:
    return (await _services(request)).churn


async def _ingest(request: Request) -> Ingest:
    return (await _services(request)).ingest


AllServices = Annotated[Services, Depends(_services)]
ThisCall = Annotated[Call, Depends(_call)]
UserScoring = Annotated[ChurnScoring, Depends(_churn)]
FactIngest = Annotated[Ingest, Depends(_ingest)]

_HEADER = APIKeyHeader(name="X-API-Key", auto_error=False, description="From `python -m serving create-key`.")


def requires(*scopes: Scope) -> Any:
    """The dependency of a route that only keys with one of these scopes may call."""

    async def check(request: Request, key: Annotated[str | None, Security(_HEADER)]) -> None:
        await (await _services(request)).key_ring.require(key, scopes)

    return Depends(check)

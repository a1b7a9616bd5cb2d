"""Health: is it alive, is it ready, how is it doing. Open to all, for orchestrators; nothing here names a user."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from models.errors import BundleError
from serving.churn import CHURN
from serving.deps import Services, services_of
from serving.errors import StoreError
from serving.middleware import call_of
from serving.quality import QUALITY
from serving.schemas.health import Alive, Readiness
from serving.slots import Slots, Task

router = APIRouter(tags=["health"])


@router.get("/livez")
async def livez(request: Request) -> Alive:
    """Answer, while the process can."""
    return Alive(**call_of(request).meta)


@router.get("/readyz", response_model=Readiness, responses={503: {"model": Readiness}})
async def readyz(request: Request) -> Response:
    """Try what scoring needs: the stores, and an inference through each champion; 503 unless all is well."""
    checks = await checks_of(services_of(request))
    ready = set(checks.values()) == {"ok"}
    answer = Readiness(**call_of(request).meta, ready=ready, checks=checks)
    headers = {} if ready else {"Retry-After": "1"}
    return JSONResponse(answer.model_dump(), 200 if ready else 503, headers)


@router.get("/metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """Give the metrics in Prometheus' text format."""
    services = services_of(request)
    await _stores(services)
    return Response(generate_latest(services.metrics.registry), media_type=CONTENT_TYPE_LATEST)


async def checks_of(services: Services) -> dict[str, str]:
    """What scoring needs, each ``ok`` or what is wrong with it; a model that may be absent is named once it is live."""
    checks = {"stores": await _stores(services)}
    for task in (CHURN, QUALITY):
        state = _champion(services.slots, task)
        if state != "no_model" or task.model in services.required_models:
            checks[task.model] = state
    return checks


async def _stores(services: Services) -> str:
    """Whether the stores answer; also measures how far the states lag."""
    try:
        folded = await services.states.watermark()  # first: it may not be ahead of the end that is read after it
        unfolded = await services.journal.last_seq() - folded
    except StoreError:
        return "unreachable"
    services.metrics.unfolded.set(unfolded)
    return "ok"


def _champion(slots: Slots, task: Task[Any]) -> str:
    live = slots.champion(task)
    if live is None:
        return "no_model"
    try:
        task.canary(live.scorer, 1)
    except BundleError:
        return "failed"
    return "ok"

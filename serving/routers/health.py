"""Health: is it alive, is it ready, how is it doing. Open to all, for orchestrators; nothing here names a user."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST

from serving.compression import accepts_gzip
from serving.deps import services_of
from serving.middleware import call_of
from serving.schemas.health import Alive, Readiness

router = APIRouter(tags=["health"])


@router.get("/livez")
async def livez(request: Request) -> Alive:
    """Answer, while the process can."""
    return Alive(**call_of(request).meta)


@router.get("/readyz", response_model=Readiness, responses={503: {"model": Readiness}})
async def readyz(request: Request) -> Response:
    """Try what scoring needs: the stores, and an inference through each champion; 503 unless all is well.

    What is ill and stops no scoring is `degraded`: background jobs, refused releases and policies, states that lag.
    """
    services = services_of(request)
    checks, troubles = await services.health.checks(), services.troubles.now()
    ready = set(checks.values()) == {"ok"}
    meta = {**call_of(request).meta, "degraded": [*troubles]}
    answer = Readiness(**meta, ready=ready, checks=dict(checks), troubles=dict(troubles))
    headers = {} if ready else {"Retry-After": "1"}
    return JSONResponse(answer.model_dump(), 200 if ready else 503, headers)


@router.get("/metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """Give the metrics in Prometheus' text format."""
    page = await services_of(request).health.page()
    answer = Response(page.text, media_type=CONTENT_TYPE_LATEST, headers={"Vary": "Accept-Encoding"})
    if accepts_gzip(request.headers.get("accept-encoding", "")):
        answer.body = page.gzipped
        answer.headers["Content-Encoding"] = "gzip"
        answer.headers["Content-Length"] = str(len(page.gzipped))
    return answer

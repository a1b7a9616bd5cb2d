"""The app: what it is made of, and its start and end."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, closing, suppress
from functools import partial
from itertools import chain
from typing import Final

from fastapi import FastAPI
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from starlette.types import ASGIApp

from serving.acting import SYSTEM, act_as
from serving.admission import Admission
from serving.api_docs.routes import api_docs_routes
from serving.composition import compose
from serving.compression import Compression
from serving.console.routes import console_routes
from serving.deps import Services
from serving.each import do_each, require_all
from serving.instants import Clock, now_us
from serving.metrics import Metrics
from serving.middleware import Edge
from serving.openapi import DescribedApi
from serving.paths import RawPaths
from serving.ports import MetricsPort
from serving.recommendation_log import EVERY_S
from serving.routers import (
    actions,
    audit,
    events,
    health,
    inference,
    kpis,
    lists,
    models,
    notes,
    policies,
    recommendations,
    reviews,
    rights,
    users,
)
from serving.settings import Settings, read_settings
from serving.store.stores import only_server, open_stores
from serving.workers import Workers

_log = logging.getLogger(__name__)

VERSION: Final = "0.1.0"
_FIRST_REPAIR_S: Final = 2
_CALLBACK_S: Final = 1.0
_KPI_LOOK_S: Final = 5.0
_SWEEP_S: Final = 3600
_NOTE_SWEEP_S: Final = 60
_CATALOGUE_S: Final = 0.25
_INDEX_S: Final = 5
_QUEUES_S: Final = 2.0
_LOAD_S: Final = 600.0
"""The longest that looking for new releases may take, with loading what is new."""
_LONG_S: Final = 900.0
_LONGEST_S: Final = 3 * 3600.0
"""The longest that a round over everything may take."""


def create_app(settings: Settings | None = None, *, clock: Clock = now_us) -> FastAPI:
    """The ASGI app; its stores and models open when it starts and close when it ends."""
    settings = settings or read_settings()
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            act_as(SYSTEM)  # whoever started the server does not do what it does by itself
            app.state.services = await _start(stack, settings, metrics, clock)
            yield

    app = DescribedApi(
        title="Mingjian",  # generated clients are named after it
        version=VERSION,
        description="Who is about to leave, and what should we do for them?",
        lifespan=lifespan,
        openapi_url=None,
        redirect_slashes=False,  # a redirect would lead to plain http where TLS ends before this server
        telemetry={"tracing": False, "metrics": False, "logs": False},  # its spans would hold paths, and so ids
    )
    resources = (
        users,
        actions,
        audit,
        kpis,
        inference,
        lists,
        rights,
        notes,
        recommendations,
        reviews,
        events,
        models,
        policies,
        health,
    )
    app.state.metrics = metrics
    app.router.routes += [*api_docs_routes(app.openapi), *console_routes()]
    # As they are: through an included router FastAPI searches twice, and asks each of its routes for its context.
    app.router.routes[:0] = chain.from_iterable(resource.router.routes for resource in resources)
    # In place of Starlette's own stack, whose layers turn errors into answers as Edge does.
    routed: ASGIApp = RawPaths(AsyncExitStackMiddleware(app.router))
    if settings.metrics_port is not None:
        routed = MetricsPort(routed, settings.metrics_port)
    edge = Edge(Compression(routed), metrics=metrics, max_body_bytes=settings.max_body_bytes)
    app.middleware_stack = Admission(
        edge, metrics=metrics, max_in_flight=settings.max_in_flight, max_body_bytes=settings.max_body_bytes
    )
    return app


async def _start(stack: AsyncExitStack, settings: Settings, metrics: Metrics, clock: Clock) -> Services:
    """Open, repair and load everything; the stack closes it in reverse."""
    if settings.open_access:
        _log.warning("open access: every request is answered without a key")
    stack.enter_context(only_server(settings))
    stores = await stack.enter_async_context(open_stores(settings))
    workers = Workers(n_threads=settings.note_threads, max_pieces=settings.max_notes_waiting)
    stack.enter_context(closing(workers))
    services = compose(settings, stores, workers, metrics, clock)
    await _first_repair(services)
    await services.policies.follow()
    await services.slots.follow()
    with suppress(ExceptionGroup):  # a note that can't be taken in is left out
        await services.catalogues.follow()
    await stack.enter_async_context(services.recommendation_log.flushed())
    if services.callbacks:
        stack.push_async_callback(services.callbacks.close)
    for job in _jobs(services, settings):
        await stack.enter_async_context(job)
    return services


def _jobs(services: Services, settings: Settings) -> Iterator[AbstractAsyncContextManager[None]]:
    """What the server does by itself, each job at its own pace: none waits for another."""
    repeated = services.jobs.repeated
    yield repeated("policies", services.policies.follow, every_s=settings.poll_s)
    yield repeated("models", services.slots.follow, every_s=settings.poll_s, timeout_s=_LOAD_S)
    yield repeated("model_changes", services.model_changes.follow, every_s=settings.poll_s)
    yield repeated("recommendation_log", services.recommendation_log.flush, every_s=EVERY_S)
    yield repeated("note_reading", services.reading.follow, every_s=_CATALOGUE_S, timeout_s=_LONG_S)
    yield repeated("reports", services.reported.follow, every_s=_CATALOGUE_S)
    yield repeated("catalogue", services.catalogues.follow, every_s=_CATALOGUE_S, timeout_s=_LONG_S)
    if services.callbacks:
        yield repeated("callbacks", services.callbacks.follow, every_s=_CALLBACK_S)
    yield repeated("catalogue_index", services.catalogues.index, every_s=_INDEX_S, timeout_s=_LONG_S)
    kpi_every_s = min(settings.kpi_s, _KPI_LOOK_S)
    yield repeated("kpis", services.kpis.follow, every_s=kpi_every_s, timeout_s=_LONGEST_S)
    yield repeated("note_sweep", services.notes.sweep, every_s=_NOTE_SWEEP_S, timeout_s=_LONGEST_S)
    yield repeated("retention", services.retention.sweep, every_s=_SWEEP_S, timeout_s=_LONGEST_S)
    yield repeated("queues", services.queues.look, every_s=_QUEUES_S)
    yield repeated("folding", services.folder.repair, every_s=settings.repair_s, timeout_s=_LONG_S)
    yield repeated("erasures", partial(require_all, services.rights.finish_pending), every_s=settings.repair_s)


async def _first_repair(services: Services) -> None:
    """Repair what is soon repaired; what takes longer, or can't be done now, is left to the repeated repairs."""
    repairs = services.retention.look, services.folder.repair, services.rights.finish_pending
    try:
        async with asyncio.timeout(_FIRST_REPAIR_S):
            await do_each(lambda repair: repair(), repairs)
    except (ExceptionGroup, TimeoutError):
        _log.warning("the states are not level with the journal yet")

"""The app: what it is made of, and its start and end."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from itertools import chain
from typing import Final

from fastapi import FastAPI
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware

from serving.admission import Admission
from serving.background import repeated
from serving.churn import CHURN, ChurnScoring
from serving.deps import Services
from serving.errors import StoreError
from serving.folding import Folder
from serving.inference import Inference
from serving.ingest import Ingest
from serving.instants import Clock, now_us
from serving.lists import UserLists
from serving.metrics import Metrics
from serving.middleware import Edge
from serving.note_lists import NoteLists
from serving.notes import Notes
from serving.openapi import DescribedApi
from serving.quality import QUALITY, NoteScoring
from serving.rate_limits import RateLimits
from serving.retention import Retention
from serving.rights import Rights
from serving.routers import events, health, inference, lists, models, notes, rights, users
from serving.security import KeyRing
from serving.settings import Settings
from serving.slots import Slots
from serving.store.measured import measured
from serving.store.stores import Stores, only_server, open_stores
from serving.workers import Workers

_log = logging.getLogger(__name__)

VERSION: Final = "0.1.0"
_FIRST_REPAIR_S: Final = 2
_SWEEP_S: Final = 3600
_NOTE_SWEEP_S: Final = 60


def create_app(settings: Settings | None = None, *, clock: Clock = now_us) -> FastAPI:
    """The ASGI app; its stores and models open when it starts and close when it ends."""
    settings = settings or Settings()
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            app.state.services = await _start(stack, settings, metrics, clock)
            yield

    app = DescribedApi(
        title="Mingjian 明鉴",
        version=VERSION,
        description="Who is about to leave, and what should we do for them?",
        lifespan=lifespan,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # its spans would hold paths, and so ids
    )
    resources = users, inference, lists, rights, notes, events, models, health
    # As they are: through an included router FastAPI searches twice, and asks each of its routes for its context.
    app.router.routes[:0] = chain.from_iterable(resource.router.routes for resource in resources)
    # In place of Starlette's own stack, whose layers turn errors into answers as Edge does.
    edge = Edge(AsyncExitStackMiddleware(app.router), metrics=metrics, max_body_bytes=settings.max_body_bytes)
    app.middleware_stack = Admission(edge, metrics=metrics, max_in_flight=settings.max_in_flight)
    return app


async def _start(stack: AsyncExitStack, settings: Settings, metrics: Metrics, clock: Clock) -> Services:
    """Open, repair and load everything; the stack closes it in reverse."""
    if settings.open_access:
        _log.warning("open access: every request is answered without a key")
    stack.enter_context(only_server(settings))
    stores = await stack.enter_async_context(open_stores(settings))
    workers = Workers(n_threads=settings.note_threads, max_pieces=settings.max_notes_waiting)
    stack.enter_context(closing(workers))
    services = _services(settings, stores, workers, metrics, clock)
    await _first_repair(services)
    await services.slots.follow()
    await stack.enter_async_context(repeated(services.slots.follow, every_s=settings.poll_s))
    await stack.enter_async_context(repeated(services.notes.sweep, every_s=_NOTE_SWEEP_S))
    await stack.enter_async_context(repeated(services.retention.sweep, every_s=_SWEEP_S))
    for repair in (services.folder.repair, services.rights.finish_pending):
        await stack.enter_async_context(repeated(repair, every_s=settings.repair_s))
    return services


async def _first_repair(services: Services) -> None:
    """Repair what is soon repaired; what takes longer, or can't be done now, is left to the repeated repairs."""
    try:
        async with asyncio.timeout(_FIRST_REPAIR_S):
            await services.retention.look()
            await services.folder.repair()
            await services.rights.finish_pending()
    except (StoreError, TimeoutError):
        _log.warning("the states are not level with the journal yet")


def _services(settings: Settings, stores: Stores, workers: Workers, metrics: Metrics, clock: Clock) -> Services:
    journal = measured(stores.journal, "journal", metrics.store)
    keys = measured(stores.keys, "keys", metrics.store)
    states = measured(stores.states, "states", metrics.store)
    kept_notes = measured(stores.notes, "notes", metrics.store)
    erasures = measured(stores.erasures, "erasures", metrics.store)
    retention = Retention(
        journal,
        keys,
        events_days=settings.retention_events_days,
        keys_days=settings.retention_keys_days,
        clock=clock,
    )
    scores = measured(stores.scores, "scores", metrics.store)
    folder = Folder(journal, states, workers)
    slots = Slots(settings.bundles, [CHURN, QUALITY], metrics=metrics, clock=clock)
    metrics.notes_waiting.set_function(lambda: workers.n_pieces)
    return Services(
        journal=journal,
        states=states,
        key_ring=KeyRing(
            keys,
            RateLimits(settings.rate_limit_per_s, metrics=metrics),
            open_access=settings.open_access,
            clock=clock,
        ),
        slots=slots,
        folder=folder,
        ingest=Ingest(journal, folder, metrics=metrics, clock=clock),
        notes=Notes(
            kept_notes,
            workers,
            days=settings.retention_notes_days,
            near_duplicates_among=settings.near_duplicates_among,
            metrics=metrics,
            clock=clock,
        ),
        quality=NoteScoring(
            slots, kept_notes, workers, timeout_s=settings.note_timeout_s, metrics=metrics, clock=clock
        ),
        note_lists=NoteLists(measured(stores.note_scores, "note_scores", metrics.store)),
        required_models=settings.required_models,
        churn=ChurnScoring(slots, folder, workers, retention, metrics=metrics, clock=clock),
        inference=Inference(workers),
        rights=Rights(erasures, journal, states, scores, kept_notes, metrics=metrics, clock=clock),
        retention=retention,
        lists=UserLists(scores),
        workers=workers,
        metrics=metrics,
        max_body_bytes=settings.max_body_bytes,
    )

"""The HTTP server around the app: uvicorn, on a protocol within bounds."""

import resource
from typing import Final

import uvicorn
from fastapi import FastAPI

from serving.metrics import Metrics
from serving.protocol import Bounds, bounded
from serving.settings import Settings

_DRAIN_S: Final = 10
IDLE_S: Final = 5
"""How long a connection may stay between two requests."""
_OTHER_FILES: Final = 256
"""Files and connections to stores that a server opens beside its callers' connections."""


def server_of(app: FastAPI, settings: Settings) -> uvicorn.Server:
    """A server of an app that ``create_app`` made."""
    metrics: Metrics = app.state.metrics
    bounds = Bounds(
        max_connections=settings.max_connections,
        header_timeout_s=settings.header_timeout_s,
        body_timeout_s=settings.body_timeout_s,
        refused=lambda reason: metrics.connections_refused.labels(reason).inc(),
    )
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=bounded(bounds),
        ws="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # nothing here asks where a request came from
        server_header=False,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=_DRAIN_S,
    )
    return uvicorn.Server(config)


def allow_open_files(n_connections: int) -> None:
    """Raise the limit of open files, as far as this process may, to what so many connections need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = n_connections + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        reachable = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (reachable, hard))

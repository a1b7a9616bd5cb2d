"""What is measured. Each part takes the world and gives plain figures."""

import os
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

from benchmarks.batch import score_everyone
from benchmarks.hostile import hostile
from benchmarks.load import Answers, Target, closed_loop, open_loop
from benchmarks.peers import peers
from benchmarks.policy import added_by_policy, scored_together
from benchmarks.servers import LOAD_CORE, Server, free_port, running
from benchmarks.world import BATCH, HOME, SAMPLE, World
from features.snapshots import EventLog, log_span
from features.sources import Dataset
from features.user import CATALOGUE, compute_features

ROUNDS: Final = 7
SECONDS: Final = 2.0
CONNECTIONS: Final = 8
MANY_CONNECTIONS: Final = 512
LOADS: Final = (0.25, 0.5, 0.75, 0.9, 1.0, 1.25, 1.5, 2.0)
_URLS: Final = {"BENCH_JOURNAL_URL": "MINGJIAN_JOURNAL_URL", "BENCH_STATE_URL": "MINGJIAN_STATE_URL"}
"""Environment variables that name a PostgreSQL and a Redis to send events to, and the settings they become."""

Figures = dict[str, Any]


def one_user(world: World) -> Figures:
    """Rates of users:score for one user and of the control, in turns."""
    with world.server() as (server, key), _control() as control:
        ours, bare = [], []
        for _ in range(ROUNDS):
            ours.append(_measured(server, _scores(server, key, world.user_ids)))
            bare.append(_measured(control, _scores(control, key, world.user_ids)))
    return {"ours": ours, "control": bare}


def many_users(world: World) -> Figures:
    """Microseconds a user of users:score for 1,000 users in one request, one request after another."""
    with world.server() as (server, key):
        target = Target(server.port, "/v1/users:score", [{"user_ids": world.user_ids}], {"X-API-Key": key})
        runs = [closed_loop(target, connections=1, seconds=SECONDS) for _ in range(ROUNDS)]
    n = len(world.user_ids)
    return {"n_users": n, "us_per_user": [run.percentiles_ms(50)[0] * 1000 / n for run in runs]}


def load(world: World) -> Figures:
    """Latencies and what becomes of requests that come at constant rates below and above the peak."""
    with world.server() as (server, key):
        target = _scores(server, key, world.user_ids)
        peak = statistics.median(closed_loop(target, connections=32, seconds=SECONDS).rate for _ in range(ROUNDS))
        loads: dict[float, list[Figures]] = {share: [] for share in LOADS}
        for _ in range(3):
            for share, runs in loads.items():
                answers = open_loop(target, rate=share * peak, connections=MANY_CONNECTIONS, seconds=SECONDS)
                runs.append(_load_figures(answers))
        after = closed_loop(target, connections=32, seconds=SECONDS).rate
        urlopen(f"http://127.0.0.1:{server.port}/readyz", timeout=5).close()
    return {"peak": peak, "after": after, "loads": {str(share): runs for share, runs in loads.items()}}


def ingest(world: World) -> Figures:
    """Durable events a second, sent in batches on two connections: to an empty SQLite file, and to the other stores.

    Those are the PostgreSQL and the Redis that BENCH_JOURNAL_URL and BENCH_STATE_URL name, where they are set.
    """
    pairs: dict[str, dict[str, str]] = {"SQLite": {}}
    if _URLS.keys() <= os.environ.keys():
        pairs["PostgreSQL + Redis"] = {setting: os.environ[name] for name, setting in _URLS.items()}
    found: dict[str, list[float]] = {}
    for _ in range(3):
        for stores, settings in pairs.items():
            with (
                tempfile.TemporaryDirectory(dir=HOME) as folder,
                world.server(data=Path(folder), settings=settings) as (server, key),
            ):
                target = Target(server.port, "/v1/events", world.batches(secrets.token_hex(4)), {"X-API-Key": key})
                answers = closed_loop(target, connections=2, seconds=5, once=True)
            found.setdefault(stores, []).append(answers.rate * BATCH)
    return found


def offline(world: World) -> Figures:
    """Events a second from Parquet to the features of every user, each column of the catalogue."""
    rates = []
    for _ in range(3):
        begun = time.perf_counter()
        dataset = Dataset(SAMPLE, now=time.time_ns() // 1000)
        n_events = dataset.summaries["events"].n_rows
        snapshot = next(iter(EventLog(dataset, [log_span(dataset)[1]]).snapshots()))
        compute_features(list(CATALOGUE.values()), snapshot.states, snapshot.as_of)
        rates.append(n_events / (time.perf_counter() - begun))
    return {"n_events": n_events, "rates": rates, "n_cores": len(os.sched_getaffinity(0))}


def policy(world: World) -> Figures:
    """What the policy adds to a user's score, and what users:score takes in all: alone and of 1,000 at once."""
    n_users = len(world.user_ids)
    with world.server() as (server, key):
        one = [_measured(server, _scores(server, key, world.user_ids))["cpu_us"] for _ in range(ROUNDS)]
        with urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=5) as metrics:
            n_together = scored_together(metrics.read().decode())
        target = Target(server.port, "/v1/users:score", [{"user_ids": world.user_ids}], {"X-API-Key": key})
        many = []
        for _ in range(ROUNDS):
            before = server.cpu_s()
            answers = closed_loop(target, connections=1, seconds=SECONDS)
            many.append((server.cpu_s() - before) * 1e6 / answers.statuses[200] / n_users)
    added = added_by_policy(world, [n_together, n_users])
    return {"n_together": n_together, "one": [one, added[str(n_together)]], "many": [many, added[str(n_users)]]}


def start(world: World) -> Figures:
    """Seconds from start to ready, and resident memory: when ready, and after some work."""
    ready_s, ready_mb, busy_mb = [], [], []
    for _ in range(ROUNDS):
        with world.server() as (server, key):
            ready_s.append(server.ready_s)
            ready_mb.append(server.rss_mb())
            closed_loop(_scores(server, key, world.user_ids), connections=CONNECTIONS, seconds=1)
            busy_mb.append(server.rss_mb())
    return {"ready_s": ready_s, "ready_mb": ready_mb, "busy_mb": busy_mb}


def against_peers(world: World) -> Figures:
    """Rates of one row a request with the features in the body, in turns."""
    with peers(world) as running_peers:
        found: Figures = {name: [] for name in running_peers}
        for _ in range(ROUNDS):
            for name, peer in running_peers.items():
                found[name].append(_measured(peer.server, peer.target))
        paths = {name: peer.target.path for name, peer in running_peers.items()}
    return {"rates": found, "paths": paths}


PARTS: Final[dict[str, Callable[[World], Figures]]] = {
    "one_user": one_user,
    "many_users": many_users,
    "load": load,
    "hostile": hostile,
    "ingest": ingest,
    "offline": offline,
    "batch": score_everyone,
    "policy": policy,
    "start": start,
    "peers": against_peers,
}


def measure(name: str, world: World) -> Figures:
    """The figures of one part; the load runs on a core of its own."""
    all_cores = os.sched_getaffinity(0)
    if name != "offline":
        os.sched_setaffinity(0, {LOAD_CORE})
    try:
        return PARTS[name](world)
    finally:
        os.sched_setaffinity(0, all_cores)


def _scores(server: Server, key: str, user_ids: list[str]) -> Target:
    bodies = [{"user_ids": [user_id]} for user_id in user_ids]
    return Target(server.port, "/v1/users:score", bodies, {"X-API-Key": key})


def _measured(server: Server, target: Target) -> Figures:
    before = server.cpu_s()
    answers = closed_loop(target, connections=CONNECTIONS, seconds=SECONDS)
    if set(answers.statuses) != {200}:
        raise RuntimeError(f"{target.path} answered {dict(answers.statuses)}")
    p50, p99 = answers.percentiles_ms(50, 99)
    cpu_us = (server.cpu_s() - before) / answers.statuses[200] * 1e6
    return {"rate": answers.rate, "cpu_us": cpu_us, "p50_ms": p50, "p99_ms": p99}


def _load_figures(answers: Answers) -> Figures:
    p50, p95, p99 = answers.percentiles_ms(50, 95, 99)
    n = answers.statuses.total()
    return {
        "p50_ms": p50,
        "p95_ms": p95,
        "p99_ms": p99,
        "good_rate": answers.rate,
        "refused": answers.statuses[503] / n,
        "failed": (n - answers.statuses[200] - answers.statuses[503]) / n,
        "retry_after": answers.n_retry_after == answers.statuses[503],
    }


@contextmanager
def _control() -> Iterator[Server]:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.control", str(port)]
    with running(command, port=port, ready="/openapi.json", log=HOME / "control.log") as server:
        yield server

"""What is measured on: a synthetic community, a churn model trained on it and released, and its users' events.

Everything lies in ``var/bench`` and is used again by the next run.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import duckdb

from benchmarks.load import Target, closed_loop
from benchmarks.servers import Server, free_port, running

HOME: Final = Path("var/bench")
SAMPLE: Final = HOME / "sample"
BUNDLES: Final = HOME / "bundles"
DATA: Final = HOME / "data"
N_SAMPLED: Final = 3_000
N_USERS: Final = 1_000
"""Users whose events the server holds: those of the sample who were active in its last fortnight."""
BATCH: Final = 500


class World:
    """The community, its users and events; made when first asked for."""

    def __init__(self) -> None:
        HOME.mkdir(parents=True, exist_ok=True)
        if not (BUNDLES / "churn/champion.json").exists():
            _make_model()
        self.events = _events()
        self.user_ids = sorted({event["user_id"] for event in self.events})
        if not (DATA / "complete").exists():
            self._ingest()

    @contextmanager
    def server(
        self, *, data: Path = DATA, bundles: Path = BUNDLES, settings: Mapping[str, str] | None = None
    ) -> Iterator[tuple[Server, str]]:
        """The API on a data folder, as in production, and a key to it."""
        env = {"MINGJIAN_DATA_DIR": str(data), "MINGJIAN_BUNDLES_DIR": str(bundles), **(settings or {})}
        data.mkdir(parents=True, exist_ok=True)
        made = run("serving", "create-key", "--scopes", "score,ingest", "--label", "bench", env=env)
        port = free_port()
        command = [sys.executable, "-m", "serving", "run", "--port", str(port)]
        with running(command, port=port, ready="/readyz", log=HOME / "server.log", env=env) as server:
            yield server, made.split()[-1]

    def batches(self, prefix: str) -> list[dict[str, Any]]:
        """All events in batches, under event ids that begin with ``prefix``."""
        named = [event | {"event_id": f"{prefix}{event['event_id']}"} for event in self.events]
        return [{"events": named[start : start + BATCH]} for start in range(0, len(named), BATCH)]

    def _ingest(self) -> None:
        shutil.rmtree(DATA, ignore_errors=True)
        with self.server() as (server, key):
            target = Target(server.port, "/v1/events", self.batches(""), {"X-API-Key": key})
            closed_loop(target, connections=2, seconds=120, once=True)
        (DATA / "complete").touch()


def run(module: str, *arguments: object, env: dict[str, str] | None = None) -> str:
    """What one of the project's command lines prints."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(
        command, check=True, text=True, stdout=subprocess.PIPE, env={**os.environ, **(env or {})}
    ).stdout


def _make_model() -> None:
    home = ("--home", HOME)
    run("training", "sample", "--users", N_SAMPLED, "--out", SAMPLE)
    run("training", *home, "churn", "--data", SAMPLE, "--report", HOME / "report.json")
    run("training", *home, "promote", "churn", "--data", SAMPLE, "--why", "benchmark")
    run("training", *home, "release", "--bundles", BUNDLES)


def _events() -> list[dict[str, Any]]:
    """The users' events in the order of their time, moved so that the last of them was an hour ago."""
    sql = f"""
        WITH events AS (SELECT * FROM '{SAMPLE}/events.parquet'),
        chosen AS (
            SELECT user_id FROM events
            WHERE occurred_at > (SELECT max(occurred_at) FROM events) - INTERVAL 14 DAY
            GROUP BY user_id ORDER BY md5(user_id) LIMIT {N_USERS}
        )
        SELECT event_id, user_id, event, note_id, epoch_us(occurred_at) / 1e6 AS occurred_at, value
        FROM events SEMI JOIN chosen USING (user_id) ORDER BY occurred_at
    """
    names = ("event_id", "user_id", "event", "note_id", "occurred_at", "value")
    rows = [dict(zip(names, row, strict=True)) for row in duckdb.connect().execute(sql).fetchall()]
    shift = time.time() - 3600 - rows[-1]["occurred_at"]
    for row in rows:
        row["occurred_at"] = datetime.fromtimestamp(row["occurred_at"] + shift, tz=UTC).isoformat()
    return rows

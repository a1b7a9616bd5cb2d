"""What KPIs cost: ``python -m benchmarks.kpis [--users N]``, in this process.

Users have a year of events, about every third day. Printed are how long it takes to roll N of them up into 400 days and
all segments (reading their states not included), and the median and 99th percentile of what ``GET /v1/kpis`` reads for
a year of one segment from a SQLite file.
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from features.schema import EVENT_KINDS, KIND_CODES
from features.state import DAY_US, Event, UserState, UserStates
from serving.kpis.rolling import SEGMENTS, cohorts_of, days_of
from serving.kpis.rollup import Rollup
from serving.store.kpis import Rolled
from serving.store.sql_kpis import SqlKpis
from serving.store.sqlite_file import open_sqlite

NOW = 20_000 * DAY_US
BLOCK = 1_000
N_ANSWERS = 200


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--users", type=int, default=100_000)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    states, segments = block(rng, NOW), rng.random((len(SEGMENTS), BLOCK)) < 0.3
    started = time.perf_counter()
    rollup = rolled_up(states, segments, NOW, options.users)
    print(f"{options.users:,} users rolled up in {time.perf_counter() - started:.1f} s")
    seconds = asyncio.run(answers(Rolled(NOW, days_of(rollup), cohorts_of(rollup), {"all": options.users})))
    p50, p99 = np.percentile(seconds, [50, 99]) * 1e3
    print(f"a year of one segment: p50 {p50:.1f} ms, p99 {p99:.1f} ms")


def rolled_up(states: UserStates, segments: npt.NDArray[np.bool_], now: int, n_users: int) -> Rollup:
    """A rollup of many users, each block of them like the first."""
    rollup = Rollup(now, len(SEGMENTS))
    for _ in range(n_users // BLOCK):
        rollup.add(states, segments)
    return rollup


def block(rng: np.random.Generator, now: int) -> UserStates:
    """Users with a year of events up to an instant."""
    kinds = list(KIND_CODES.values())
    encoded = []
    for _ in range(BLOCK):
        days = np.flatnonzero(rng.random(365) < 0.33)
        events = [
            Event(kinds[int(rng.integers(len(EVENT_KINDS)))], now - int(day + 1) * DAY_US, value=30_000)
            for day in days
            for _ in range(3)
        ]
        encoded.append(UserState().fold(events).encode())
    return UserStates.decode(encoded)


async def answers(rolled: Rolled) -> list[float]:
    """The seconds that a year's answer takes to read, again and again."""
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        async with open_sqlite(Path(folder) / "kpis.db", timeout_s=60) as file:
            store = SqlKpis(file)
            await store.put(rolled, day=20_000)
            for _ in range(N_ANSWERS):
                started = time.perf_counter()
                await store.days("tier:koc", since=20_000 - 365, before=20_001)
                await store.cohorts()
                await store.counts(since=20_000 - 365, before=20_001)
                seconds.append(time.perf_counter() - started)
    return seconds


if __name__ == "__main__":
    main()

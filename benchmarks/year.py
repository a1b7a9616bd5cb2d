"""Leaves what a year of many users leaves: ``MINGJIAN_DATA_DIR=DIR python -m benchmarks.year [--users N]``.

Fills the stores of a server that is stopped, such as the demo's, with N users' KPIs of 365 days, tiers, stages and
scores, so that ``benchmarks.console`` can ask for pages about them; start it with ``MINGJIAN_KPI_S=86400``, or the next
rollup takes their place.
"""

import argparse
import asyncio
import time

import numpy as np

from benchmarks.kpis import BLOCK, block, rolled_up
from features.state import community_day
from models.policy.words import Stage, Tier
from serving.kpis.rolling import SEGMENTS, cohorts_of, days_of
from serving.settings import Settings
from serving.store.kpis import Rolled, UserSegment
from serving.store.scores import NewScore, ScoreRun
from serving.store.stores import Stores, open_stores

HORIZONS = (7, 14, 30)


async def fill(n_users: int) -> None:
    """Fill the stores that the settings name."""
    rng, now = np.random.default_rng(0), time.time_ns() // 1_000
    async with open_stores(Settings()) as stores:
        await roll(stores, rng, now, n_users)
        run = ScoreRun(now, "1", "0" * 64, dict.fromkeys(HORIZONS, 0.5))
        for first in range(0, n_users, BLOCK):
            ids = [f"year{number:06}" for number in range(first, first + BLOCK)]
            users = [UserSegment(one, str(rng.choice([*Tier])), str(rng.choice([*Stage]))) for one in ids]
            await stores.kpis.move(community_day(now - 1), users)
            scores = [NewScore(one, "scored", now, sorted(rng.random(len(HORIZONS)).tolist())[::-1]) for one in ids]
            await stores.scores.put_many(run, scores)


async def roll(stores: Stores, rng: np.random.Generator, now: int, n_users: int) -> None:
    """Keep a rollup of many users."""
    states, segments = block(rng, now), rng.random((len(SEGMENTS), BLOCK)) < 0.3
    segments[0] = True
    rollup = rolled_up(states, segments, now, n_users)
    n_notes = {f"quality:{tenth}": int(rng.integers(n_users)) for tenth in range(10)}
    counts = dict.fromkeys(SEGMENTS, n_users // 3) | n_notes | {"notes": sum(n_notes.values())}
    await stores.kpis.begin(now, unless_since=now)
    await stores.kpis.put(Rolled(now, days_of(rollup), cohorts_of(rollup), counts), day=community_day(now - 1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--users", type=int, default=100_000)
    asyncio.run(fill(parser.parse_args().users))

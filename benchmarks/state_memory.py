"""How much Redis a million users take: the states of a real log, loaded and weighed.

``python benchmarks/state_memory.py --data DIR --redis redis://127.0.0.1:6379/15`` puts them under keys of their own and
removes them again. Use a Redis that nothing else writes to meanwhile.
"""

import argparse
import asyncio
import secrets
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import redis.asyncio

from features.snapshots import EventLog, log_span
from features.sources import Dataset
from features.state import INSTANTS, PROFILE, Tally, UserState, UserStates
from serving.instants import now_us
from serving.store.redis_states import open_redis
from serving.store.state import StateUpdate

_BATCH = 1_000
_HEADS: tuple[str, ...] = (*INSTANTS, *PROFILE)


def encoded_states(states: UserStates) -> list[bytes]:
    """Each user's state as the server keeps it."""
    bounds = np.searchsorted(states.row_user, np.arange(len(states) + 1))
    return [
        UserState(
            **{name: getattr(states, name)[user].item() for name in _HEADS},
            tallies={
                (int(row["day"]), int(row["kind"])): Tally(int(row["n"]), int(row["value"]))
                for row in states.rows[bounds[user] : bounds[user + 1]]
            },
        ).encode()
        for user in range(len(states))
    ]


async def weigh(url: str, user_ids: Sequence[str], encoded: Sequence[bytes]) -> float:
    """Bytes of Redis memory per user."""
    prefix = f"weigh-{secrets.token_hex(4)}"
    async with redis.asyncio.Redis.from_url(url) as client:
        async with open_redis(url, ttl_s=3600, timeout_s=60, prefix=prefix) as states:
            await states.put_many([StateUpdate("warm", b"x", 1, 0)])
            before = (await client.info("memory"))["used_memory"]
            updates = (
                StateUpdate(*pair, applied_seq=10**9, expected_seq=0) for pair in zip(user_ids, encoded, strict=True)
            )
            for batch in batches(updates):
                await states.put_many(batch)
            after = (await client.info("memory"))["used_memory"]
            await states.reset(0)
        await client.delete(f"{prefix}:watermark")
    return float(after - before) / len(user_ids)


def batches(updates: Iterator[StateUpdate]) -> Iterator[list[StateUpdate]]:
    """Batches of a thousand."""
    while batch := list(islice(updates, _BATCH)):
        yield batch


def main() -> None:
    """Print the figures of one log."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--redis", required=True)
    parser.add_argument("--users", type=int, default=50_000)
    options = parser.parse_args()
    dataset = Dataset(options.data, now=now_us())
    (snapshot,) = EventLog(dataset, [log_span(dataset)[1]]).snapshots()
    chosen = slice(0, options.users)
    encoded = encoded_states(snapshot.states.take(chosen))
    sizes = np.array([len(one) for one in encoded])
    per_user = asyncio.run(weigh(options.redis, list(snapshot.user_ids[chosen]), encoded))
    print(
        f"{len(encoded):,} users; state bytes: mean {sizes.mean():.0f}, p99 {np.quantile(sizes, 0.99):.0f}, "
        f"max {sizes.max()}; Redis: {per_user:.0f} bytes a user, {per_user * 1e6 / 2**20:.0f} MiB a million"
    )


if __name__ == "__main__":
    main()

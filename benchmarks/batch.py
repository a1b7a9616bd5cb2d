"""How fast ``score-all`` is, beside a plain loop that computes the features and runs the same graph."""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks.world import BUNDLES, DATA, HOME, World
from features.state import UserStates
from features.user import CATALOGUE, compute_features
from models.churn.scorer import INPUT
from serving.churn import CHURN
from serving.folding import Folder
from serving.instants import now_us
from serving.parts import BatchRun, Parts
from serving.score_all import BLOCK, Batch, new_scores
from serving.settings import Settings
from serving.slots import released_champion
from serving.store.journal import Fact, FactType
from serving.store.scores import ScoreRun
from serving.store.state import StateUpdate
from serving.store.stores import Stores, open_stores
from serving.workers import Workers

N_BLOCKS: Final = 20
ROUNDS: Final = 7


def score_everyone(world: World) -> dict[str, Any]:
    """CPU microseconds a user, in turns on one core: of the plain loop, and of each thing that ``score-all`` does."""
    encoded = asyncio.run(_encoded(world))
    with tempfile.TemporaryDirectory(dir=HOME) as folder:
        settings = Settings(data_dir=Path(folder), bundles_dir=BUNDLES, store_timeout_s=60)
        return {"us": asyncio.run(_measured(settings, encoded)), "n_users": N_BLOCKS * BLOCK}


async def _encoded(world: World) -> list[bytes]:
    """A block of states."""
    async with open_stores(Settings(data_dir=DATA)) as stores:
        stored = await stores.states.get_many(world.user_ids[:BLOCK])
    return [one.encoded for one in stored.values()]


async def _measured(settings: Settings, encoded: list[bytes]) -> dict[str, list[float]]:
    us: dict[str, list[float]] = {}
    async with open_stores(settings) as stores:
        with closing(Workers()) as workers:
            await _fill(stores, encoded)
            batch = await _batch(settings, stores, workers)
            for turn in range(ROUNDS):
                _plain_turn(batch, UserStates.decode(encoded), us)
                await _batch_turn(batch, stores, settings.data_dir / str(turn), us)
    return us


async def _fill(stores: Stores, encoded: list[bytes]) -> None:
    """The block's states for as many users as are scored, each of whom the journal knows by one fact."""
    for start in range(0, N_BLOCKS * BLOCK, BLOCK):
        user_ids = [f"synthetic-u-{start + n:07}" for n in range(len(encoded))]
        await stores.journal.append([Fact(FactType.EVENT, one, 0, 0, event_id=one, event="open") for one in user_ids])
        users = zip(user_ids, encoded, strict=True)
        await stores.states.put_many([StateUpdate(*user, start + n + 1, 0) for n, user in enumerate(users)])


async def _batch(settings: Settings, stores: Stores, workers: Workers) -> Batch:
    model = await released_champion(settings.bundles, CHURN, clock=now_us)
    thresholds = dict(zip(model.scorer.settings.horizon_days, model.scorer.settings.thresholds, strict=True))
    run = BatchRun(ScoreRun(now_us(), model.pointer.version, model.pointer.digest, thresholds), BLOCK)
    return Batch(stores.journal, Folder(stores.journal, stores.states, workers), model.scorer, run)


def _plain_turn(batch: Batch, states: UserStates, us: dict[str, list[float]]) -> None:
    """What any loop over states in memory has to do, and what ``score-all`` makes of it."""
    features, as_of = [CATALOGUE[name] for name in batch.scorer.settings.features], batch.run.scores.as_of
    table = compute_features(features, states, as_of)
    with _lap(us, "graph"):
        for _ in range(N_BLOCKS):
            batch.scorer.runner.run({INPUT: table})
    with _lap(us, "plain"):
        for _ in range(N_BLOCKS):
            batch.scorer.runner.run({INPUT: compute_features(features, states, as_of)})
    user_ids = [str(n) for n in range(len(states))]
    with _lap(us, "scored"):
        for _ in range(N_BLOCKS):
            new_scores(batch.block(user_ids, states))


async def _batch_turn(batch: Batch, stores: Stores, out: Path, us: dict[str, list[float]]) -> None:
    """What ``score-all`` does beside: read everyone, write files, write the lists."""
    with _lap(us, "read"):
        blocks = [block async for block in batch.blocks("")]
    parts, run = Parts(out, batch.run), batch.run.scores._replace(as_of=now_us())
    with _lap(us, "files"):
        for block in blocks:
            parts.add(block)
    with _lap(us, "lists"):
        for block in blocks:
            await stores.scores.put_many(run, new_scores(block))


@contextmanager
def _lap(us: dict[str, list[float]], name: str) -> Iterator[None]:
    begun = time.process_time()
    yield
    us.setdefault(name, []).append((time.process_time() - begun) * 1e6 / (N_BLOCKS * BLOCK))

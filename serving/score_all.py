"""Scores everyone, block by block: into a folder of Parquet files, and into the scores that lists are made of.

A block goes into the lists first and then becomes a part of the folder: the parts say how far the run is, and a block
that was interrupted is done again, with the same result.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from tqdm import tqdm

from features.state import NEVER, UserStates
from models.churn.scorer import ChurnScorer, ChurnStatus
from serving.audit import AuditLog
from serving.churn import CHURN
from serving.errors import InvalidError
from serving.folding import Folder
from serving.instants import CLOCK_SKEW_US, now_us, to_us
from serving.parts import BatchRun, Block, Parts, read_manifest
from serving.settings import Settings
from serving.slots import LiveModel, released_champion
from serving.store.journal import Journal
from serving.store.scores import NewScore, ScoreRun, ScoreStore
from serving.store.stores import open_stores
from serving.workers import Workers

BLOCK: Final = 1_000
_PUT: Final = 1_000
"""How many users' scores one transaction takes: others that write wait for it, some 40 ms. Fewer would cost more."""
_COUNTED: Final = 10_000


@dataclass(frozen=True, slots=True)
class Batch:
    """What scoring everyone reads."""

    journal: Journal
    folder: Folder
    scorer: ChurnScorer
    run: BatchRun

    async def blocks(self, after: str) -> AsyncIterator[Block]:
        """Everyone above a user id, scored."""
        while user_ids := await self.journal.users(after, limit=self.run.block):
            yield self.block(user_ids, await self.folder.states_at(user_ids, self.run.scores.as_of))
            after = user_ids[-1]

    def block(self, user_ids: Sequence[str], states: UserStates) -> Block:
        """Users whose states were read, scored."""
        return Block(user_ids, states.last_at, self.scorer.score(states, self.run.scores.as_of))


async def score_all(settings: Settings, *, out: Path, as_of: int | None, block: int | None) -> int:
    """Score everyone, from the beginning or from where a run into this folder stopped; how many users it holds.

    What is not told is as in the run that the folder holds, or else: as of now, ``BLOCK`` users a part. NoModelError
    without a champion; ServingError for a folder that holds another run.
    """
    model = await released_champion(settings.bundles, CHURN, clock=now_us)
    parts = Parts(out, run := _run(model, out, as_of, block))
    if not parts.is_complete:
        async with open_stores(settings) as stores:
            with closing(Workers()) as workers:
                folder = Folder(stores.journal, stores.states, workers)
                await folder.repair()
                batch = Batch(stores.journal, folder, model.scorer, run)
                await AuditLog(stores.audit, clock=now_us).record_export("scores")
                await _score(batch, stores.scores, parts)
        parts.finish()
    return parts.n_users


async def _score(batch: Batch, lists: ScoreStore, parts: Parts) -> None:
    with tqdm(desc="scoring", unit=" users", initial=parts.n_users, disable=None) as bar:
        if not bar.disable:
            bar.total = await _n_users(batch.journal)
        async for block in batch.blocks(parts.last_user_id()):
            scores = new_scores(block)
            for start in range(0, len(scores), _PUT):
                await lists.put_many(batch.run.scores, scores[start : start + _PUT])
            parts.add(block)
            bar.update(len(block.user_ids))


def _run(model: LiveModel[ChurnScorer], out: Path, as_of: int | None, block: int | None) -> BatchRun:
    manifest = read_manifest(out)
    if as_of is None:
        as_of = to_us(datetime.fromisoformat(manifest["run"]["as_of"])) if manifest else now_us()
    if not 0 <= as_of <= now_us() + CLOCK_SKEW_US:
        raise InvalidError("as_of must lie between 1970 and now")
    settings, pointer = model.scorer.settings, model.pointer
    thresholds = dict(zip(settings.horizon_days, settings.thresholds, strict=True))
    if block is None:
        block = manifest["run"]["block"] if manifest else BLOCK
    return BatchRun(ScoreRun(as_of, pointer.version, pointer.digest, thresholds), block)


async def _n_users(journal: Journal) -> int:
    after, n_users = "", 0
    while user_ids := await journal.users(after, limit=_COUNTED):
        after, n_users = user_ids[-1], n_users + len(user_ids)
    return n_users


def new_scores(block: Block) -> list[NewScore]:
    """A block's scores as the lists keep them."""
    users = zip(
        block.user_ids,
        block.scores.status,
        block.last_at.tolist(),
        block.scores.probability.tolist(),
        strict=True,
    )
    return [
        NewScore(
            user_id,
            status.value,
            None if last_at == NEVER else last_at,
            row if status is ChurnStatus.SCORED else [None] * len(row),
        )
        for user_id, status, last_at, row in users
    ]

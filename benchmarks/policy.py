"""What the policy adds to users:score: tiers, stages and actions, evaluated and answered, beside the same without.

In one process, on the states of the world's users: reading them out of their bytes, scoring, and the answer as JSON.
What a request costs beside (HTTP, keys, store) the server itself is measured for; the ratio is to all of it.
"""

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter

from benchmarks.world import BUNDLES, DATA, World
from features.state import UserStates
from models.churn.scorer import ChurnScorer
from models.policy.evaluation import PolicyEvaluator
from models.policy.schema import read_policy
from serving.churn import CHURN, ChurnAnswer
from serving.instants import now_us
from serving.policies.judging import judge_users
from serving.policies.live import shipped_policy
from serving.routers.users import results_of
from serving.schemas.users import Churn, Explained, Reason, UserScore
from serving.settings import Settings
from serving.slots import LiveModel, released_champion
from serving.store.stores import open_stores

ROUNDS: Final = 7
_BATCHES: Final = re.compile(r'^mingjian_batch_size_(sum|count)\{operation="score"\} (\S+)$', re.MULTILINE)


class _PlainScore(BaseModel):
    """A ``UserScore`` without what the policy says."""

    user_id: str
    status: str
    churn: list[Churn]
    reasons: list[Reason]
    explained: Explained | None = None


_WITH: Final = TypeAdapter(list[UserScore])
_WITHOUT: Final = TypeAdapter(list[_PlainScore])


def scored_together(metrics: str) -> int:
    """How many users a server scored in one go on average, by its metrics: single requests that came together share."""
    found = {name: float(value) for name, value in _BATCHES.findall(metrics)}
    return round(found["sum"] / found["count"])


def added_by_policy(world: World, sizes: Sequence[int]) -> dict[str, dict[str, list[float]]]:
    """CPU microseconds a user, in turns, by number of users at once: ``without`` and ``with_policy``."""
    encoded, model = asyncio.run(_prepared(world))
    policy = PolicyEvaluator(read_policy(shipped_policy().content))
    us: dict[str, dict[str, list[float]]] = {}
    for n in sizes:
        some, ids = encoded[:n], world.user_ids[:n]
        turns: dict[str, Callable[[], object]] = {
            "without": partial(_without, model, some, ids),
            "with_policy": partial(_with, model, policy, some, ids),
        }
        us[str(n)] = {name: [] for name in turns}
        for _ in range(ROUNDS):
            for name, turn in turns.items():
                us[str(n)][name].append(_cpu_us(turn, repeats=2_000 // n + 5) / n)
    return us


async def _prepared(world: World) -> tuple[Sequence[bytes], LiveModel[ChurnScorer]]:
    async with open_stores(Settings(data_dir=DATA, bundles_dir=BUNDLES)) as stores:
        stored = await stores.states.get_many(world.user_ids)
    return [one.encoded for one in stored.values()], await released_champion(BUNDLES, CHURN, clock=now_us)


def _without(model: LiveModel[ChurnScorer], encoded: Sequence[bytes], user_ids: Sequence[str]) -> bytes:
    scores = model.scorer.score(UserStates.decode(encoded), now_us())
    settings = model.scorer.settings
    horizons = list(enumerate(zip(settings.horizon_days, settings.thresholds, strict=True)))
    users = zip(user_ids, scores.status, scores.probability.tolist(), strict=True)
    results = [
        _PlainScore(
            user_id=user_id,
            status=status.value,
            churn=[
                Churn(horizon_days=days, probability=row[place], threshold=threshold, at_risk=row[place] >= threshold)
                for place, (days, threshold) in horizons
                if status == "scored"
            ],
            reasons=[],
        )
        for user_id, status, row in users
    ]
    return _WITHOUT.dump_json(results)


def _with(
    model: LiveModel[ChurnScorer], policy: PolicyEvaluator, encoded: Sequence[bytes], user_ids: Sequence[str]
) -> bytes:
    as_of = now_us()
    judged = judge_users(model.scorer, policy, None, UserStates.decode(encoded), as_of)
    columns: Any = range(len(model.scorer.settings.horizon_days))
    of_users = user_ids, judged.scores, judged.policy, judged.outcomes.each()
    return _WITH.dump_json(results_of(ChurnAnswer(model, as_of, *of_users, range(len(user_ids)), columns)))


def _cpu_us(turn: Callable[[], object], *, repeats: int) -> float:
    begun = time.process_time()
    for _ in range(repeats):
        turn()
    return (time.process_time() - begun) * 1e6 / repeats

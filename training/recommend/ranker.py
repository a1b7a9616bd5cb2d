"""The ranker: LambdaRank over the candidates of all sources (Burges 2010), by LightGBM."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from models.recommend.candidates import Candidates, Pool
from models.recommend.histories import Ints
from models.recommend.sources import Floats
from training.recommend.cuts import Cut

Order = Callable[[Floats], Floats]
"""Scores of candidates, shape (n,), from their features."""

THREADS: Final = 2
"""Threads that fit and ask the trees; more change nothing but the time."""
_BLOCK: Final = 1_000
_PARAMS: Final = {
    "objective": "lambdarank", "lambdarank_truncation_level": 15, "learning_rate": 0.07, "num_leaves": 20,
    "min_data_in_leaf": 50, "path_smooth": 20.0, "feature_fraction": 0.5, "bagging_fraction": 0.8, "bagging_freq": 1,
    "lambda_l2": 5.0, "max_bin": 255, "deterministic": True, "force_row_wise": True, "verbose": -1,
}  # fmt: skip
_ROUNDS: Final = 120
_SMALL_PARAMS: Final = {"learning_rate": 0.05, "num_leaves": 7}
_SMALL_ROUNDS: Final = 150


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Candidate lists whose target is among them, one after another: ``n`` candidates each, 1 at the target."""

    features: Floats
    is_target: npt.NDArray[np.float32]
    n: Ints

    def __len__(self) -> int:
        return len(self.n)

    @classmethod
    def of(cls, pool: Pool, cut: Cut, *, most: int, rng: np.random.Generator) -> "Examples":
        """The lists of a cut's users, at most ``most``; ``pool`` knows nothing from the cut on."""
        histories, parts, n_lists = cut.histories, [], 0
        blocks = rng.permutation(np.arange(0, len(histories), _BLOCK))
        for first in blocks:
            parts.append(_block(pool.find(histories.block(first, first + _BLOCK)), cut.targets[first : first + _BLOCK]))
            n_lists += len(parts[-1])
            if n_lists >= most:
                break
        return joined(parts)


def joined(parts: Sequence[Examples]) -> Examples:
    """Examples after examples."""
    return Examples(
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.is_target for part in parts]),
        np.concatenate([part.n for part in parts]),
    )


def fit_ranker(examples: Examples, features: Sequence[str], *, small: bool, seed: int) -> lgb.Booster:
    """The trees, ``small`` ones for few users."""
    params: dict[str, Any] = {**_PARAMS, **(_SMALL_PARAMS if small else {}), "seed": seed, "num_threads": THREADS}
    data = lgb.Dataset(
        examples.features, examples.is_target, group=examples.n, feature_name=list(features), params=params
    )
    return lgb.train(params, data, _SMALL_ROUNDS if small else _ROUNDS)


def trees_order(booster: lgb.Booster) -> Order:
    """The trees' scores."""
    return lambda candidates: np.asarray(booster.predict(candidates, raw_score=True, num_threads=THREADS), np.float32)


def source_order(source: str, features: Sequence[str]) -> Order:
    """One source's scores, as shares of its best for the user."""
    column = features.index(f"{source}.share_of_best")
    return lambda candidates: candidates[:, column]


def boosted(order: Order, features: Sequence[str]) -> Order:
    """An order's scores, each note's boost added."""
    column = features.index("boost")
    return lambda candidates: order(candidates) + candidates[:, column]


def _block(found: Candidates, targets: Ints) -> Examples:
    is_target = found.note == targets[found.row]
    with_target = np.zeros(len(targets), np.bool_)
    with_target[found.row[is_target]] = True
    kept = with_target[found.row]
    n = np.bincount(found.row[kept], minlength=len(targets))
    return Examples(found.features[kept], is_target[kept].astype(np.float32), n[n > 0])

"""How well scores over all notes meet what users did next, and how widely they spread attention."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from models.recommend.histories import Histories, Ints
from training.recommend.cuts import Cut

Floats = npt.NDArray[np.float64]
Scores = npt.NDArray[np.float32]
Score = Callable[[Histories], Scores]
"""Scores of shape (n_users, n_notes), an array of the caller's own; -inf where nothing speaks for a note."""

TOP: Final = 10
_BLOCK: Final = 256
_UNSPOKEN: Final = np.float32(-1e30)
_KNOWN: Final = np.float32(-np.inf)


@dataclass(frozen=True, slots=True, eq=False)
class Figures:
    """One predictor on one cut: gains per user, and what the lists of all users together show.

    ``coverage`` is the share of the notes known by then that are in anybody's top ten; ``gini`` (0 even, 1 all on one)
    says how unevenly the places there are dealt out to them.
    """

    hit: Floats
    ndcg: Floats
    coverage: float
    gini: float

    def to_json(self) -> dict[str, float]:
        """The figures by name, means with their standard errors."""
        return {
            "hr@10": float(self.hit.mean()),
            "ndcg@10": float(self.ndcg.mean()),
            "hr@10_se": standard_error(self.hit),
            "ndcg@10_se": standard_error(self.ndcg),
            "coverage": self.coverage,
            "gini": self.gini,
        }


def blocks(cut: Cut) -> Iterator[Histories]:
    """The histories of those a cut asks, a few hundred users at a time."""
    histories = cut.histories
    for first in range(0, len(histories), _BLOCK):
        yield histories.block(first, first + _BLOCK)


def judge(score: Score, cut: Cut) -> Figures:
    """The figures of scores on those a cut asks."""
    return judge_blocks((score(block) for block in blocks(cut)), cut)


def judge_blocks(scores_of_blocks: Iterable[Scores], cut: Cut) -> Figures:
    """The figures of a cut's ``blocks``, given the scores of each; they are spent."""
    exposure, ranks = np.zeros(cut.n_notes, np.int64), []
    for scores, histories, targets in zip(scores_of_blocks, blocks(cut), _targets(cut), strict=True):
        set_apart(scores, histories)
        ranks.append(mid_ranks(scores, targets))
        exposure += np.bincount(take_top(scores), minlength=cut.n_notes)
    hit, gain = _gains(np.concatenate(ranks))
    exposure = exposure[np.unique(cut.known.notes)]
    return Figures(hit, gain, float((exposure > 0).mean()), gini(exposure))


def exposure_of_blocks(scores_of_blocks: Iterable[Scores], cut: Cut) -> Ints:
    """How many first tens each note is in, which needs no targets; the scores are spent."""
    exposure = np.zeros(cut.n_notes, np.int64)
    for scores, histories in zip(scores_of_blocks, blocks(cut), strict=True):
        set_apart(scores, histories)
        exposure += np.bincount(take_top(scores), minlength=cut.n_notes)
    return exposure


def ndcg(score: Score, cut: Cut) -> float:
    """The mean gain alone, which takes a fraction of the time."""
    ranks = []
    for histories, targets in zip(blocks(cut), _targets(cut), strict=True):
        set_apart(scores := score(histories), histories)
        ranks.append(mid_ranks(scores, targets))
    return float(_gains(np.concatenate(ranks))[1].mean())


def set_apart(scores: Scores, histories: Histories) -> None:
    """Put what nothing speaks for far behind, and what users know at -inf."""
    np.maximum(scores, _UNSPOKEN, out=scores)
    scores[histories.rows, histories.notes] = _KNOWN


def mid_ranks(scores: Scores, targets: Ints) -> Floats:
    """Each target's place in its user's full ranking, from 1, in the middle of its ties.

    Infinite for the target -1: a note that the user knows already.
    """
    theirs = scores[np.arange(len(targets)), targets][:, None]
    ranks = np.count_nonzero(scores > theirs, axis=1) + (np.count_nonzero(scores == theirs, axis=1) + 1) / 2
    return np.where(targets < 0, np.inf, ranks)


def take_top(scores: Scores) -> Ints:
    """The ten best notes of each user that anything speaks for, flat; equal scores by number. Spends ``scores``."""
    rows, taken = np.arange(len(scores)), []
    for _ in range(min(TOP, scores.shape[1])):
        best = scores.argmax(axis=1)
        taken.append(best[scores[rows, best] > _UNSPOKEN])
        scores[rows, best] = _KNOWN
    return np.concatenate(taken)


def gini(exposure: Ints) -> float:
    """The Gini coefficient of how often each note is shown."""
    n, total = len(exposure), int(exposure.sum())
    ordered = np.sort(exposure)
    return float(2 * (np.arange(1, n + 1) * ordered).sum() / (n * total) - (n + 1) / n) if total else 0.0


def standard_error(values: Floats) -> float:
    """The standard error of a mean over users."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")


def by_chance(differences: Floats) -> float:
    """How far the mean of paired differences may fall short before it says anything (one-sided, 95%)."""
    return 1.64 * standard_error(differences)


def _gains(ranks: Floats) -> tuple[Floats, Floats]:
    """Per user: 1.0 for a rank of ten or better, and that hit discounted by its rank (Järvelin and Kekäläinen 2002)."""
    hit = (ranks <= TOP).astype(np.float64)
    return hit, np.where(hit > 0, 1 / np.log2(np.minimum(ranks, TOP) + 1), 0.0)


def _targets(cut: Cut) -> Iterator[Ints]:
    for first in range(0, len(cut.targets), _BLOCK):
        yield cut.targets[first : first + _BLOCK]

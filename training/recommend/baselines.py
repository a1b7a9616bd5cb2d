"""What the recommender is set beside: popularity, and ALS (Hu, Koren and Volinsky 2008) by ``implicit``."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy import sparse

from models.recommend.histories import Histories
from training.recommend.cuts import Cut
from training.recommend.ranking import Score, Scores, ndcg
from training.recommend.search import search

ALS_NOT_INSTALLED: Final = "implicit is not installed (it comes with the extra dev)"
_ITERATIONS: Final = 15
_THREADS: Final = 2
_TUNING_USERS: Final = 4_000


@dataclass(frozen=True, slots=True)
class AlsSettings:
    """The number of factors, their regularisation, and how much more than nothing an event counts."""

    factors: int
    regularisation: float
    alpha: float


START: Final = AlsSettings(128, 1.0, 5.0)
GRID: Final[Mapping[str, tuple[float, ...]]] = {
    "alpha": (1.0, 2.0, 5.0, 15.0, 40.0),
    "regularisation": (0.01, 0.1, 1.0, 5.0, 20.0),
    "factors": (32, 64, 128, 256),
}
MAX_EVALUATIONS: Final = 12


def popularity_scores(cut: Cut) -> Score:
    """Notes by their number of steps before the cut."""
    n_steps = np.bincount(cut.known.notes, minlength=cut.n_notes).astype(np.float32)
    n_steps[n_steps == 0] = -np.inf
    return lambda histories: np.tile(n_steps, (len(histories), 1))


def tuned_als_scores(validation: Cut, test: Cut, *, rng: np.random.Generator, seed: int) -> Score:
    """ALS fitted on what is known at the test, with what did best on validation; ImportError without implicit."""
    asked = sample(validation, _TUNING_USERS, rng=rng)
    best, _ = search(lambda one: ndcg(als_scores(validation, one, seed=seed), asked), START, GRID, most=MAX_EVALUATIONS)
    return als_scores(test, best, seed=seed)


def als_scores(cut: Cut, settings: AlsSettings, *, seed: int) -> Score:
    """ALS on everybody's notes before the cut; a user's factors are solved for from the history that is given."""
    from implicit.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(
        factors=int(settings.factors), regularization=settings.regularisation, alpha=settings.alpha,
        iterations=_ITERATIONS, random_state=seed, num_threads=_THREADS, use_gpu=False,
    )  # fmt: skip
    model.fit(_user_notes(cut.known, cut.n_notes), show_progress=False)

    def score(histories: Histories) -> Scores:
        users = model.recalculate_user(np.arange(len(histories)), _user_notes(histories, cut.n_notes))
        return np.asarray(users @ model.item_factors.T, np.float32)

    return score


def sample(cut: Cut, most: int, *, rng: np.random.Generator) -> Cut:
    """A cut that asks at most ``most`` of its users."""
    if len(cut.asked) <= most:
        return cut
    chosen = np.sort(rng.choice(len(cut.asked), most, replace=False))
    return replace(cut, asked=cut.asked[chosen], targets=cut.targets[chosen])


def _user_notes(histories: Histories, n_notes: int) -> sparse.csr_matrix:
    ones = np.ones(len(histories.notes), np.float32)
    return sparse.coo_matrix((ones, (histories.rows, histories.notes)), shape=(len(histories), n_notes)).tocsr()

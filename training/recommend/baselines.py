"""What the recommender is set beside: popularity, and ALS (Hu, Koren and Volinsky 2008) by ``implicit``."""

from dataclasses import replace
from typing import Final

import numpy as np
from scipy import sparse

from models.recommend.histories import Histories
from training.recommend.cuts import Cut
from training.recommend.ranking import Score, Scores, ndcg

ALS_NOT_INSTALLED: Final = "implicit is not installed (it comes with the extra dev)"
_FACTORS: Final = 64
_ITERATIONS: Final = 15
_REGULARISATIONS: Final = (0.01, 0.1, 1.0)
_TUNING_USERS: Final = 4_000


def popularity_scores(cut: Cut) -> Score:
    """Notes by their number of steps before the cut."""
    n_steps = np.bincount(cut.known.notes, minlength=cut.n_notes).astype(np.float32)
    n_steps[n_steps == 0] = -np.inf
    return lambda histories: np.tile(n_steps, (len(histories), 1))


def tuned_als_scores(validation: Cut, test: Cut, *, rng: np.random.Generator, seed: int) -> Score:
    """ALS fitted on what is known at the test, regularised as did best on validation; ImportError without implicit."""
    asked = sample(validation, _TUNING_USERS, rng=rng)
    gains = [ndcg(als_scores(validation, one, seed=seed), asked) for one in _REGULARISATIONS]
    return als_scores(test, _REGULARISATIONS[int(np.argmax(gains))], seed=seed)


def als_scores(cut: Cut, regularisation: float, *, seed: int) -> Score:
    """ALS on everybody's notes before the cut; a user's factors are solved for from the history that is given."""
    from implicit.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(
        factors=_FACTORS, regularization=regularisation, alpha=1.0, iterations=_ITERATIONS,
        random_state=seed, num_threads=1, use_gpu=False,
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

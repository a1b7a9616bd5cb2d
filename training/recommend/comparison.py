"""Champion and challenger on the same held-out steps."""

from typing import NamedTuple

import numpy as np

from models.recommend.catalogue import Catalogue
from models.recommend.scorer import RecommendScorer
from training.gates import Gate
from training.recommend.config import RecommendConfig
from training.recommend.cuts import plan_cuts
from training.recommend.ranking import TOP, Floats, by_chance
from training.recommend.sequences import Sequences

MAX_USERS = 4_000
"""Users, at most, on whom two models are compared."""


class Recommender(NamedTuple):
    """A released model, and what the notes say to it, if it knows content."""

    scorer: RecommendScorer
    catalogue: Catalogue | None


def compare(
    challenger: Recommender, champion: Recommender, sequences: Sequences, config: RecommendConfig
) -> list[Gate]:
    """The gates of a promotion: NDCG@10 beside the champion's, for the same users at ``config``'s test cut."""
    test = plan_cuts(sequences, config.protocol).test
    rng = np.random.default_rng(config.seed)
    users = np.sort(rng.permutation(len(test.asked))[:MAX_USERS])
    histories = test.histories
    known = [sequences.note_ids[histories.block(user, user + 1).notes].tolist() for user in users]
    targets = [sequences.note_ids[target] if target >= 0 else None for target in test.targets[users]]
    difference = _ndcg(challenger, known, targets) - _ndcg(champion, known, targets)
    minimum = config.gates.min_ndcg_difference - by_chance(difference)
    return [Gate("ndcg_difference_to_champion", float(difference.mean()), minimum=minimum)]


def _ndcg(model: Recommender, histories: list[list[str]], targets: list[str | None]) -> Floats:
    """Per user, the discounted hit among the ten notes that a model gives."""
    gains = np.zeros(len(targets))
    for user, notes in enumerate(model.scorer.recommend(histories, n=TOP, catalogue=model.catalogue)):
        ids = [one.note_id for one in notes]
        if (target := targets[user]) in ids:
            gains[user] = 1 / np.log2(ids.index(target) + 2)
    return gains

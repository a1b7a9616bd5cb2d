"""The recommender's recipe: from steps of users to a judged model, ready to be written as a bundle.

All choices are made at the validation cut: the neighbours' settings, whether a ranker pays, and how far rare notes
are put forward. Then everything is fitted again with what is known at the test cut, which is read once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import lightgbm as lgb
import numpy as np

from models.recommend.candidates import NoteStatistics, Pool
from models.recommend.histories import Histories
from models.recommend.sources import NeighbourSource
from training.progress import Progress
from training.recommend.baselines import popularity_scores, sample, tuned_als_scores
from training.recommend.config import RecommendConfig
from training.recommend.cuts import Cut, Plan, plan_cuts
from training.recommend.neighbours import (
    COSINE,
    FORWARD,
    SHARP,
    NeighbourSettings,
    Pairs,
    neighbour_scores,
    neighbour_source,
    two_hops,
)
from training.recommend.ranker import (
    MAX_LISTS,
    Examples,
    Order,
    Shortlists,
    candidate_scores,
    fit_ranker,
    joined,
    ranker_order,
    rarity_order,
    source_order,
    trees_order,
)
from training.recommend.ranking import Figures, Score, judge, ndcg
from training.recommend.search import search
from training.recommend.sequences import Sequences

SEARCH_USERS: Final = 4_000
"""Validation users, at most, that each setting of the neighbours is tried on."""
CHOICE_USERS: Final = 40_000
"""Validation users, at most, on whom the ranker must beat its best source."""
LATE: Final = 3
"""A user's latest steps, in which ``lateness`` looks for a note."""
BONUSES: Final = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8)
"""How far rare notes may be put forward, until coverage is the tuned neighbours' (and a bit more)."""
COVERAGE_MARGIN: Final = 0.1
"""The bit more: this share of the notes that the tuned neighbours leave uncovered."""


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """What validation chose: the neighbours' settings, the best single source, and the ranker's bonus for rare notes.

    ``rarity_bonus`` is None where no ranker pays. ``ndcg`` has the validation NDCG@10 of each source and of the ranker.
    """

    neighbours: NeighbourSettings
    n_tried: int
    source: str
    rarity_bonus: float | None
    ndcg: dict[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class RecommendModel:
    """A fitted recommender: candidates, and trees that order them; without trees, the source ``choice`` names does."""

    note_ids: Sequence[str]
    pool: Pool
    sources: tuple[NeighbourSource, ...]
    choice: Choice
    booster: lgb.Booster | None

    @property
    def order(self) -> Order:
        """What orders the candidates."""
        if self.booster is None or self.choice.rarity_bonus is None:
            return source_order(self.choice.source, self.pool.features)
        return ranker_order(self.booster, self.pool.features, rarity_bonus=self.choice.rarity_bonus)

    @property
    def score(self) -> Score:
        """The model's scores over all notes."""
        return candidate_scores(self.pool, self.order)


@dataclass(frozen=True, slots=True, eq=False)
class RecommendTraining:
    """A model, the cuts it was made at, and its test figures beside the baselines' (None: ALS is not installed)."""

    model: RecommendModel
    plan: Plan
    figures: dict[str, Figures | None]


def train_recommender(config: RecommendConfig, sequences: Sequences, progress: Progress) -> RecommendTraining:
    """Choose on validation, fit again, and judge on the test."""
    rng = np.random.default_rng(config.seed)
    plan = plan_cuts(sequences, config.protocol)
    progress("choosing the neighbours", 0, 5)
    neighbours, n_tried = choose_neighbours(plan.validation, rng)
    progress("choosing the ranker", 1, 5)
    choice = choose_order(plan, neighbours, n_tried=n_tried, config=config, rng=rng)
    progress("fitting", 2, 5)
    pairs, sources, pool = build_pool(plan.test, neighbours, n_neighbours=config.n_neighbours)
    booster = None
    if choice.rarity_bonus is not None:
        booster = fit(pool.features, plan.before_test(), neighbours=neighbours, config=config, rng=rng)
    model = RecommendModel(sequences.note_ids.tolist(), pool, sources, choice, booster)
    progress("judging the model", 3, 5)
    figures: dict[str, Figures | None] = {
        "model": judge(model.score, plan.test),
        "popularity": judge(popularity_scores(plan.test), plan.test),
        "item_knn": judge(neighbour_scores(pairs.similarity(neighbours), neighbours.decay), plan.test),
    }
    progress("judging ALS", 4, 5)
    figures["als"] = _als(plan, config.seed, rng)
    return RecommendTraining(model, plan, figures)


def choose_neighbours(validation: Cut, rng: np.random.Generator) -> tuple[NeighbourSettings, int]:
    """The best settings of the neighbours, and how many were tried."""
    pairs, asked = Pairs(validation.known, validation.n_notes), sample(validation, SEARCH_USERS, rng=rng)
    best, tried = search(lambda one: ndcg(neighbour_scores(pairs.similarity(one), one.decay), asked))
    return best, len(tried)


def choose_order(
    plan: Plan, neighbours: NeighbourSettings, *, n_tried: int, config: RecommendConfig, rng: np.random.Generator
) -> Choice:
    """Whether a ranker beats the best source on validation, held to the coverage of the tuned neighbours."""
    asked = sample(plan.validation, CHOICE_USERS, rng=rng)
    pairs, _, pool = build_pool(plan.validation, neighbours, n_neighbours=config.n_neighbours)
    shortlists, features = Shortlists(pool, asked), pool.features
    gains = {
        source.name: float(shortlists.judge(shortlists.scores(source_order(source.name, features))).ndcg.mean())
        for source in pool.sources
    }
    best = max(gains, key=gains.__getitem__)
    booster = fit(features, plan.before_validation(), neighbours=neighbours, config=config, rng=rng)
    if booster is None:
        return Choice(neighbours, n_tried, best, None, gains)
    bar = judge(neighbour_scores(pairs.similarity(neighbours), neighbours.decay), asked).coverage
    bonus, ranked = choose_bonus(shortlists, booster, features, coverage=bar + COVERAGE_MARGIN * (1 - bar))
    gains["ranker"] = float(ranked.ndcg.mean())
    return Choice(neighbours, n_tried, best, bonus if gains["ranker"] > gains[best] else None, gains)


def choose_bonus(
    shortlists: Shortlists, booster: lgb.Booster, features: Sequence[str], *, coverage: float
) -> tuple[float, Figures]:
    """The least of ``BONUSES`` with which a ranker's lists cover as much as asked, else the largest; its figures."""
    trees, rarity = shortlists.scores(trees_order(booster)), shortlists.scores(rarity_order(features))
    for bonus in BONUSES:
        figures = shortlists.judge([one + np.float32(bonus) * rare for one, rare in zip(trees, rarity, strict=True)])
        if figures.coverage >= coverage:
            break
    return bonus, figures


def build_pool(
    cut: Cut, neighbours: NeighbourSettings, *, n_neighbours: int
) -> tuple[Pairs, tuple[NeighbourSource, ...], Pool]:
    """The sources and statistics as of a cut: nothing from the cut on is in them."""
    pairs = Pairs(cut.known, cut.n_notes)
    tuned, forward = pairs.similarity(neighbours), pairs.similarity(FORWARD)
    sources = (
        neighbour_source("similar", tuned, n_neighbours=n_neighbours, decay=neighbours.decay),
        neighbour_source("next", pairs.similarity(SHARP), n_neighbours=n_neighbours, decay=SHARP.decay),
        neighbour_source("together", pairs.similarity(COSINE), n_neighbours=n_neighbours, decay=COSINE.decay),
        neighbour_source("two_hops", two_hops(tuned), n_neighbours=n_neighbours, decay=neighbours.decay),
        neighbour_source("after", forward, n_neighbours=n_neighbours, decay=FORWARD.decay),
        neighbour_source("before", forward.T.tocsr(), n_neighbours=n_neighbours, decay=FORWARD.decay),
    )
    return pairs, sources, Pool(sources, note_statistics(cut.known, cut.n_notes))


def note_statistics(known: Histories, n_notes: int) -> NoteStatistics:
    """Steps per note, and the share of them in their users' latest three (one more of two, so that none is 0 or 1)."""
    n_steps = np.bincount(known.notes, minlength=n_notes)
    late = np.bincount(known.latest(LATE).note, minlength=n_notes)
    return NoteStatistics(n_steps.astype(np.float32), ((late + 1) / (n_steps + 2)).astype(np.float32))


def fit(
    features: Sequence[str],
    cuts: Sequence[Cut],
    *,
    neighbours: NeighbourSettings,
    config: RecommendConfig,
    rng: np.random.Generator,
) -> lgb.Booster | None:
    """A ranker that learns at some cuts, each with sources and statistics from before it; None without an example."""
    examples = []
    for cut in (cut for cut in cuts if len(cut.asked)):
        _, _, pool = build_pool(cut, neighbours, n_neighbours=config.n_neighbours)
        examples.append(Examples.of(pool, cut, most=MAX_LISTS // len(cuts), rng=rng))
    return fit_ranker(joined(examples), features, seed=config.seed) if any(map(len, examples)) else None


def _als(plan: Plan, seed: int, rng: np.random.Generator) -> Figures | None:
    try:
        return judge(tuned_als_scores(plan.validation, plan.test, rng=rng, seed=seed), plan.test)
    except ModuleNotFoundError:
        return None

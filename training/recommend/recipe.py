"""The recommender's recipe: from steps of users to a judged model, ready to be written as a bundle.

All choices are made at the validation cut: the neighbours' settings, and whether a ranker pays. Then everything is
fitted again with what is known at the test cut, which is read once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import lightgbm as lgb
import numpy as np

from models.recommend.candidates import Pool
from models.recommend.catalogue import Catalogue
from models.recommend.sequence import MAX_NOTES, SEQUENCE
from training.progress import Progress
from training.recommend.baselines import popularity_scores, sample, tuned_als_scores
from training.recommend.config import RecommendConfig
from training.recommend.cuts import MIN_TRAIN_CUTS, Cut, Plan, plan_cuts
from training.recommend.lessons import Lessons
from training.recommend.neighbours import GRID, MAX_EVALUATIONS, START, NeighbourSettings, Pairs, neighbour_scores
from training.recommend.pool import Ingredients, build_pool
from training.recommend.ranker import Order, boosted, source_order, trees_order
from training.recommend.ranking import Figures, Floats, Score, by_chance, judge, ndcg
from training.recommend.search import search
from training.recommend.sequences import Sequences
from training.recommend.shortlists import Shortlists, candidate_scores

SEARCH_USERS: Final = 4_000
"""Validation users, at most, that each setting of the neighbours is tried on."""
CHOICE_USERS: Final = 40_000
"""Validation users, at most, on whom the ranker must beat its best source."""


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """What validation chose: the neighbours' settings, the best single source, and whether a ranker pays.

    ``ndcg`` has the validation NDCG@10 of each source and of the ranker; the ranker, and the best source under the name
    ``chosen source``, as they cover what the tuned neighbours do.
    """

    neighbours: NeighbourSettings
    n_tried: int
    source: str
    has_ranker: bool
    has_sequence_model: bool
    ndcg: dict[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class RecommendModel:
    """A fitted recommender: candidates, and trees that order them; without trees, the source ``choice`` names does.

    Its pool has each note's boost. ``sequence_graph`` is the sequence model's, where it is a source.
    """

    note_ids: Sequence[str]
    pool: Pool
    choice: Choice
    booster: lgb.Booster | None
    sequence_graph: bytes | None = None

    @property
    def order(self) -> Order:
        """What orders the candidates."""
        order = _order(self.booster, self.choice.source, self.pool)
        return boosted(order, self.pool.features)

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


def train_recommender(
    config: RecommendConfig, sequences: Sequences, progress: Progress, *, catalogue: Catalogue | None = None
) -> RecommendTraining:
    """Choose on validation, fit again, and judge on the test; what notes say counts where there is a catalogue."""
    rng = np.random.default_rng(config.seed)
    plan = plan_cuts(sequences, config.protocol)
    progress("choosing the neighbours", 0, 5)
    neighbours, n_tried = choose_neighbours(plan.validation, rng)
    progress("choosing the ranker", 1, 5)
    plain = Ingredients(neighbours, config.n_neighbours, catalogue)
    lessons = Lessons(plain, rng)
    choice = choose_order(plan, lessons, n_tried=n_tried, config=config, rng=rng)
    progress("fitting", 2, 5)
    cuts = plan.before_test()[: MIN_TRAIN_CUTS if choice.has_sequence_model else None]
    graph = sequence_model(cuts, seed=config.seed) if choice.has_sequence_model else None
    made = plain.with_sequence(graph, sequences.n_notes)
    similarity, pool = build_pool(plan.test, made)
    lessons = Lessons(made, rng) if graph else lessons
    booster = lessons.fit(cuts, seed=config.seed) if choice.has_ranker else None
    item_knn = judge(neighbour_scores(similarity, neighbours.decay), plan.test)
    progress("judging the model", 3, 5)
    order = _order(booster, choice.source, pool)
    boost, judged = Shortlists(pool, plan.test).covering(order, item_knn.coverage)
    pool = replace(pool, statistics=replace(pool.statistics, boost=boost))
    model = RecommendModel(sequences.note_ids.tolist(), pool, choice, booster, graph)
    figures: dict[str, Figures | None] = {
        "model": judged,
        "popularity": judge(popularity_scores(plan.test), plan.test),
        "item_knn": item_knn,
    }
    progress("judging ALS", 4, 5)
    figures["als"] = _als(plan, config.seed, rng)
    return RecommendTraining(model, plan, figures)


def choose_neighbours(validation: Cut, rng: np.random.Generator) -> tuple[NeighbourSettings, int]:
    """The best settings of the neighbours, and how many were tried."""
    pairs, asked = Pairs(validation.known, validation.n_notes), sample(validation, SEARCH_USERS, rng=rng)

    def evaluate(one: NeighbourSettings) -> float:
        return ndcg(neighbour_scores(pairs.similarity(one), one.decay), asked)

    best, tried = search(evaluate, START, GRID, most=MAX_EVALUATIONS)
    return best, len(tried)


def choose_order(
    plan: Plan, lessons: Lessons, *, n_tried: int, config: RecommendConfig, rng: np.random.Generator
) -> Choice:
    """Whether a ranker beats the best source on validation, and a sequence model pays, each held to the coverage of
    the tuned neighbours.
    """
    made, asked = lessons.made, sample(plan.validation, CHOICE_USERS, rng=rng)
    similarity, pool = build_pool(plan.validation, made)
    shortlists, neighbours = Shortlists(pool, asked), made.neighbours
    gains = {
        source.name: float(shortlists.judge(shortlists.scores(source_order(source.name, pool.features))).ndcg.mean())
        for source in pool.sources
    }
    best = max(gains, key=gains.__getitem__)
    goal = judge(neighbour_scores(similarity, neighbours.decay), asked).coverage
    booster = lessons.fit(plan.before_validation(), seed=config.seed)
    alone = shortlists.covering(_order(None, best, pool), goal)[1].ndcg
    ranked = shortlists.covering(_order(booster, best, pool), goal)[1].ndcg
    gains |= {"chosen source": float(alone.mean()), "ranker": float(ranked.mean())}
    has_ranker = booster is not None and gains["ranker"] > gains["chosen source"]
    with_sequence = _ranked_with_sequence(plan, asked, made, goal, config=config, rng=rng)
    if with_sequence is None:
        return Choice(neighbours, n_tried, best, has_ranker, has_sequence_model=False, ndcg=gains)
    gains["ranker with sequence"] = float(with_sequence.mean())
    difference = with_sequence - (ranked if has_ranker else alone)
    pays = bool(difference.mean() > by_chance(difference))
    return Choice(neighbours, n_tried, best, has_ranker or pays, has_sequence_model=pays, ndcg=gains)


def _ranked_with_sequence(
    plan: Plan, asked: Cut, made: Ingredients, goal: float, *, config: RecommendConfig, rng: np.random.Generator
) -> Floats | None:
    """Each asked user's gain where a sequence model is one more source; None where there can't be one."""
    if config.sequence_model == "off" or asked.n_notes > MAX_NOTES:
        return None
    cuts = plan.before_validation()[:MIN_TRAIN_CUTS]
    graph = sequence_model(cuts, seed=config.seed)
    if graph is None:
        return None
    made = made.with_sequence(graph, asked.n_notes)
    _, pool = build_pool(plan.validation, made)
    booster = Lessons(made, rng).fit(cuts, seed=config.seed)
    return Shortlists(pool, asked).covering(_order(booster, SEQUENCE, pool), goal)[1].ndcg


def sequence_model(cuts: Sequence[Cut], *, seed: int) -> bytes | None:
    """The graph of a sequence model that saw no step asked for at any of the cuts: it knows what lies before the
    earliest (so few cuts go with one: what it knows would be too old). None without PyTorch.
    """
    try:
        from training.recommend.sequence_model import fit_sequence_model
    except ModuleNotFoundError:
        return None
    return fit_sequence_model(cuts[-1].known, cuts[-1].n_notes, seed=seed)


def _order(booster: lgb.Booster | None, source: str, pool: Pool) -> Order:
    return trees_order(booster) if booster else source_order(source, pool.features)


def _als(plan: Plan, seed: int, rng: np.random.Generator) -> Figures | None:
    try:
        return judge(tuned_als_scores(plan.validation, plan.test, rng=rng, seed=seed), plan.test)
    except ModuleNotFoundError:
        return None

"""Writes a fitted recommender as a bundle, and proves that the bundle orders notes as the trainer does."""

from pathlib import Path
from typing import Final

import numpy as np

from models.bundle import GOLDEN, MODEL, Bundle, Golden, write_bundle
from models.recommend.graph import ranker_graph, source_graph
from models.recommend.histories import Histories
from models.recommend.scorer import RecommendScorer
from models.recommend.sequence import FILE
from models.recommend.settings import INPUT, OUTPUT, RecommendSettings
from models.recommend.tables import encode_tables
from training.recommend.content import ENCODER
from training.recommend.recipe import RecommendModel

PARITY: Final = 1e-5
"""The largest difference between trainer and bundle that may pass, in a note's score."""

N_COMPARED: Final = 500
_GOLDEN_VALUES: Final = (0.0, 0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 20.0)
_N_GOLDEN: Final = 64


def export_recommender(model: RecommendModel, folder: Path, *, encoder: str | None = None) -> Bundle:
    """Write the model below ``folder`` as a bundle; the same model gives the same digest.

    ``encoder`` is the digest of the quality bundle that embedded the notes, which a model that knows content requires.
    """
    pool, features = model.pool, model.pool.features
    settings = RecommendSettings(
        tuple(source.name for source in pool.behaviour),
        tuple(source.decay for source in pool.behaviour),
        sequence=model.sequence_graph is not None,
        content=encoder is not None,
    )
    if model.booster is None:
        graph = source_graph(model.choice.source, features)
    else:
        graph = ranker_graph(model.booster.dump_model(), features)
    golden = _golden(model, len(features))
    tables = encode_tables(model.note_ids, pool)
    files = {MODEL: graph.SerializeToString(), GOLDEN: golden.encode(), **tables}
    if model.sequence_graph is not None:
        files[FILE] = model.sequence_graph
    return write_bundle(folder, settings.contract(), files, requires={ENCODER: encoder} if encoder else {})


def parity(bundle: Bundle, model: RecommendModel, held_out: Histories) -> float:
    """The largest difference in score between trainer and bundle, for the candidates of some held-out users.

    Infinite where the bundle's tables find other candidates.
    """
    histories = held_out.block(0, N_COMPARED)
    found, score = RecommendScorer(bundle).score(histories, model.pool.catalogue)
    expected = model.score(histories)
    is_candidate = np.zeros(expected.shape, np.bool_)
    is_candidate[found.row, found.note] = True
    if not (is_candidate == np.isfinite(expected)).all():
        return np.inf
    return float(np.abs(score - expected[found.row, found.note]).max(initial=0.0))


def _golden(model: RecommendModel, n_features: int) -> Golden:
    """Made-up candidates, never a user's, with the trainer's own scores."""
    features = np.random.default_rng(0).choice(np.array(_GOLDEN_VALUES, np.float32), (_N_GOLDEN, n_features))
    return Golden({INPUT: features}, {OUTPUT: model.order(features)[:, None].astype(np.float32)})

"""A recommender as a slot holds it: the model, and the encoder that its release was built on, if it knows content."""

from typing import Final

import numpy as np

from models.bundle import Bundle
from models.errors import BundleError
from models.quality.scorer import QualityScorer
from models.recommend.histories import Histories
from models.recommend.scorer import RecommendScorer
from models.recommend.settings import TASK
from models.runtime import OnnxRunner
from serving.slots import Task


class Recommender:
    """A recommender ready to answer; BundleError for one that knows content and requires no encoder."""

    def __init__(self, bundle: Bundle, *, quality: QualityScorer | None = None) -> None:
        self.scorer = RecommendScorer(bundle)
        self.encoder = quality
        self.encoder_digest = bundle.requires.get("quality")
        if self.scorer.settings.content and quality is None:
            raise BundleError("the recommender knows content, but its bundle requires no quality model")

    @property
    def runner(self) -> OnnxRunner:
        """The graph that orders candidates."""
        return self.scorer.runner


def _canary(recommender: Recommender, n_rows: int) -> None:
    last = len(recommender.scorer.note_ids) - 1
    _, scores = recommender.scorer.score(Histories.of([[0, last]] * n_rows))
    if not np.isfinite(scores).all():
        raise BundleError("a recommended note's score is not a number")


RECOMMEND: Final = Task(TASK, Recommender, _canary, warm_up=(1, 8))

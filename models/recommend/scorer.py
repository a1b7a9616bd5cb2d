"""Recommends notes with a released model: histories in, scored notes out."""

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from models.bundle import Bundle
from models.recommend.candidates import Candidates
from models.recommend.catalogue import Catalogue
from models.recommend.content import CONTENT
from models.recommend.histories import Histories
from models.recommend.settings import INPUT, OUTPUT, RecommendSettings
from models.recommend.tables import decode_tables
from models.runtime import OnnxRunner, verify_golden

POPULAR: Final = "popular"
"""The source of notes that fill a list up: those with the most events."""


@dataclass(frozen=True, slots=True)
class Recommended:
    """A note, the ``source`` that ranks it highest, and the ranker's score; None for a ``popular`` one.

    Scores order one user's notes; they are no probabilities, and don't compare between users.
    """

    note_id: str
    score: float | None
    source: str


class RecommendScorer:
    """A recommender ready to answer.

    Raises ContractError for a bundle this code can't serve, BundleError for one whose tables don't fit or that does
    not reproduce its golden examples.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.settings = RecommendSettings.of(bundle.contract)
        self.runner = OnnxRunner(bundle)
        verify_golden(self.runner, bundle)
        self.note_ids, self.pool = (tables := decode_tables(bundle.files, self.settings)).note_ids, tables.pool
        self.source_names = (*self.settings.behaviour, *((CONTENT,) if self.settings.content else ()))
        self._no_content = Catalogue(self.note_ids)
        self.popular = np.argsort(-self.pool.statistics.n_events, kind="stable")

    def recommend(
        self,
        histories: Sequence[Sequence[str]],
        *,
        n: int,
        exclude: Sequence[Collection[str]] | None = None,
        catalogue: Catalogue | None = None,
    ) -> list[list[Recommended]]:
        """At most ``n`` notes per user, best first: none from the history (oldest first), nor among the excluded.

        A note that the model does not know says nothing; a user without known notes gets popular ones.
        """
        notes = catalogue or self._no_content
        known = Histories.of([notes.numbers(one) for one in histories])
        candidates, score = self.score(known, notes)
        ends = np.searchsorted(candidates.row, np.arange(len(known) + 1))
        answers = []
        for user, (first, end) in enumerate(itertools.pairwise(ends)):
            unwanted = {*histories[user], *(exclude[user] if exclude is not None else ())}
            best = first + np.argsort(-score[first:end], kind="stable")
            ranked = [self._recommended(notes, candidates, score, place) for place in best.tolist()]
            answers.append(self._filled([one for one in ranked if one.note_id not in unwanted][:n], unwanted, n))
        return answers

    def score(
        self, histories: Histories, catalogue: Catalogue | None = None
    ) -> tuple[Candidates, npt.NDArray[np.float32]]:
        """The candidates of users whose notes are given by number, and the ranker's score of each.

        A ``catalogue`` whose first notes are the model's lets a model that knows content propose others too; what a
        model does not know says nothing to it.
        """
        known = (catalogue or self._no_content) if self.settings.content else None
        candidates = replace(self.pool, catalogue=known).find(self.heard(histories))
        return candidates, self.runner.run({INPUT: candidates.features})[OUTPUT][:, 0]

    def heard(self, histories: Histories) -> Histories:
        """What the model goes by: of a model that does not know content, only the notes it was made with."""
        return histories if self.settings.content else histories.below(len(self.note_ids))

    def _recommended(
        self, notes: Catalogue, candidates: Candidates, score: npt.NDArray[np.float32], place: int
    ) -> Recommended:
        source = self.source_names[candidates.source[place]]
        return Recommended(notes.note_id(candidates.note[place]), float(score[place]), source)

    def _filled(self, ranked: list[Recommended], unwanted: set[str], n: int) -> list[Recommended]:
        """The list, filled up to ``n`` with what is popular."""
        shown = unwanted | {one.note_id for one in ranked}
        for number in self.popular.tolist():
            if len(ranked) >= n:
                break
            if (note_id := self.note_ids[number]) not in shown:
                ranked.append(Recommended(note_id, None, POPULAR))
        return ranked

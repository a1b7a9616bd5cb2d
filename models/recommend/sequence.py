"""A sequence model as a source of candidates: its graph reads a user's latest notes in order."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import onnxruntime as ort

from models.recommend.histories import WINDOW, Histories
from models.recommend.sources import NO_PROPOSALS, Proposals, new_to_users

SEQUENCE: Final = "sequence"
"""The name of the source, and of its file in a bundle (``sequence.onnx``)."""

FILE: Final = f"{SEQUENCE}.onnx"
N_PROPOSED: Final = 100
"""Notes that the graph gives a user, what they know among them."""

MAX_NOTES: Final = 200_000
"""Notes above which a recommender has no sequence model: a vector each, and a comparison with each."""


@dataclass(frozen=True, slots=True, eq=False)
class SequenceSource:
    """Notes that follow a user's latest in order.

    ``score`` is the probability that the model gives; it is all the evidence there is: ``strongest`` and ``from_last``
    equal it, and ``support`` is 1.
    """

    session: ort.InferenceSession
    n_notes: int
    name: str = SEQUENCE

    def propose(self, histories: Histories, *, n_notes: int) -> Proposals:
        """The likeliest next notes, for users who have any that the model knows."""
        known = histories.below(self.n_notes)
        asked = np.flatnonzero(known.lengths)
        if not len(asked):
            return NO_PROPOSALS
        latest = known.latest
        lengths = np.minimum(known.lengths[asked], WINDOW)
        notes = np.full((len(known), int(lengths.max())), self.n_notes, np.int64)
        notes[latest.row, np.repeat(lengths, lengths) - 1 - latest.age] = latest.note
        feeds = {"notes": notes[asked], "lengths": lengths.astype(np.int32)}
        probability, number = self.session.run(["probability", "note"], feeds)
        key = (asked[:, None] * n_notes + number).ravel()
        order = np.argsort(key, kind="stable")
        score = probability.ravel()[order]
        proposals = Proposals(key[order], score, score, np.ones(len(score), np.float32), score)
        return new_to_users(proposals, histories, n_notes)

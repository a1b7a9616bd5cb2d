"""Where notes stand in the order of all: those that are taken up early in histories, and those that come late.

Each step from one note to the next says that the second stands one further on; standings are what contradicts all steps
least, by squares (HodgeRank: Jiang et al. 2011), and of a note of which little is said near 0.
"""

from typing import Final

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import lsqr

from models.recommend.histories import Histories
from models.recommend.sources import Floats
from training.recommend.neighbours import pairs_at

_RIDGE: Final = 1.0


def note_standing(known: Histories, n_notes: int) -> Floats:
    """The standing of each note, (n_notes,); 0 for one that nobody took up before or after another."""
    before, after, _ = pairs_at(known.notes, known.rows, lag=1)
    if not len(before):
        return np.zeros(n_notes, np.float32)
    step = np.tile(np.arange(len(before)), 2)
    sign = np.repeat([1.0, -1.0], len(before))
    steps = sparse.coo_array((sign, (step, np.concatenate([after, before]))), shape=(len(before), n_notes)).tocsr()
    standing: Floats = lsqr(steps, np.ones(len(before)), damp=_RIDGE)[0].astype(np.float32)
    return standing

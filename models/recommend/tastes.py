"""What users like as vectors, in any space that has notes, and how near a note lies to it."""

import itertools
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from models.recommend.histories import Histories, Ints
from models.recommend.sources import Floats
from models.recommend.vectors import DIMENSIONS, UnitVectors

Bools = npt.NDArray[np.bool_]

COSINES: Final = ("profile_cosine", "last_cosine", "greatest_cosine")
"""What a space says of a candidate: its cosine with all that the user likes, with the last note, and the greatest with
one of the last five.
"""

_DECAY: Final = 0.7
"""A note ``age`` places before the last weighs ``(age + 1) ** -decay`` in a profile, as it does in neighbours."""
_RECENT: Final = 5


class Space(Protocol):
    """Notes as vectors: what they say, or who takes them up."""

    def __len__(self) -> int: ...

    def unit_vectors(self, numbers: Ints) -> UnitVectors:
        """Those of some notes, (n, 128), of norm 1; zero where there is none."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Tastes:
    """What users like, as unit vectors (n_users, 128): their latest notes together, the last one with a vector, and
    the ``recent`` ones (5, n_users, 128), latest first.
    """

    profile: UnitVectors
    last: UnitVectors
    recent: UnitVectors

    @classmethod
    def of(cls, space: Space, histories: Histories) -> "Tastes":
        """The tastes that the latest notes with a vector show."""
        row, note, age = histories.latest.below(len(space))
        vectors = space.unit_vectors(note)
        weighed = vectors * np.power(age + 1.0, -_DECAY).astype(np.float32)[:, None]
        profile = np.zeros((len(histories), DIMENSIONS), np.float32)
        np.add.at(profile, row, weighed)
        last, has_vector = np.zeros_like(profile), vectors.any(axis=1)
        last[row[has_vector]] = vectors[has_vector]  # from old to new, so that the newest stays
        recent = np.zeros((_RECENT, *profile.shape), np.float32)
        recent[age[age < _RECENT], row[age < _RECENT]] = vectors[age < _RECENT]
        return cls(_normalised(profile), last, recent)


def cosines(space: Space, histories: Histories, row: Ints, note: Ints) -> list[Floats]:
    """The columns ``COSINES`` for some notes of some users, ascending by ``row``; NaN where the note or the user has no
    vector.
    """
    tastes, vectors = Tastes.of(space, histories), space.unit_vectors(note)
    wanted = np.stack([tastes.profile, tastes.last, *tastes.recent], axis=1)
    cosine = np.empty((len(row), wanted.shape[1]), np.float32)
    ends = np.searchsorted(row, np.arange(len(histories) + 1)).tolist()
    for user, (first, end) in enumerate(itertools.pairwise(ends)):
        cosine[first:end] = vectors[first:end] @ wanted[user].T
    cosine[~(_has_any(vectors)[:, None] & _has_any(wanted)[row])] = np.nan
    return [cosine[:, 0], cosine[:, 1], np.fmax.reduce(cosine[:, 2:], axis=1)]


def _has_any(vectors: UnitVectors) -> Bools:
    found: Bools = (vectors != 0).any(axis=-1)
    return found


def _normalised(vectors: npt.NDArray[np.float32]) -> UnitVectors:
    norms = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    normalised: UnitVectors = vectors / np.maximum(norms, np.float32(1e-12))[:, None]
    return normalised

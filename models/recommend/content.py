"""Notes by what they say: a source that needs no events, and what content says of any candidate."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from models.recommend.catalogue import Catalogue, Shelf
from models.recommend.histories import Histories, Ints
from models.recommend.sources import NO_PROPOSALS, Floats, Proposals, new_to_users
from models.recommend.vectors import DIMENSIONS, UnitVectors

CONTENT: Final = "content"
"""The name of the source."""

COSINES: Final = ("profile_cosine", "last_cosine")
"""What content says of a candidate: its cosine with what the user reads, and with the last note they read."""

NEAREST: Final = 40
"""How many notes are looked for near a user's profile, and near the last note."""

_DECAY: Final = 0.7
"""A note ``age`` places before the last weighs ``(age + 1) ** -decay`` in a profile, as it does in neighbours."""


@dataclass(frozen=True, slots=True, eq=False)
class Tastes:
    """What users read, as unit vectors (n_users, 128): their latest notes together, and the last one with a vector."""

    profile: UnitVectors
    last: UnitVectors

    @classmethod
    def of(cls, shelf: Shelf, histories: Histories) -> "Tastes":
        """The tastes that the latest notes with a vector show."""
        latest = histories.latest()
        known = latest.note < len(shelf)
        row, note, age = latest.row[known], latest.note[known], latest.age[known]
        vectors = shelf.unit_vectors(note)
        weighed = vectors * np.power(age + 1.0, -_DECAY).astype(np.float32)[:, None]
        profile = np.zeros((len(histories), DIMENSIONS), np.float32)
        np.add.at(profile, row, weighed)
        last, has_vector = np.zeros_like(profile), vectors.any(axis=1)
        last[row[has_vector]] = vectors[has_vector]  # from old to new, so that the newest stays
        return cls(_normalised(profile), last)


@dataclass(frozen=True, slots=True, eq=False)
class ContentSource:
    """Notes near to what users read.

    ``score`` is the cosine with the profile (1 added: it has to be positive), ``strongest`` the greater of that and
    the one with the last note, ``support`` whether the note is near to one or both, ``from_last`` the cosine with the
    last note.
    """

    catalogue: Catalogue
    name: str = CONTENT

    def propose(self, histories: Histories, *, n_notes: int) -> Proposals:
        """The nearest notes to each user's profile and last note."""
        shelf = self.catalogue.shelf()
        tastes = Tastes.of(shelf, histories)
        wanted = np.concatenate([tastes.profile, tastes.last])
        asked = np.flatnonzero(wanted.any(axis=1))
        if not len(asked):
            return NO_PROPOSALS
        numbers, _ = self.catalogue.near(wanted[asked], n=NEAREST)
        row = np.repeat(asked % len(histories), NEAREST)
        number = numbers.ravel()
        found = (number >= 0) & (number < n_notes)
        found[found] = ~shelf.withheld[number[found]]
        key, support = np.unique((row * n_notes + number)[found], return_counts=True)
        user, note = np.divmod(key, n_notes)
        profile, last = _cosines(shelf, tastes, user, note)
        return new_to_users(
            Proposals(key, 1 + profile, 1 + np.maximum(profile, last), support.astype(np.float32), 1 + last),
            histories,
            n_notes,
        )


def cosines(shelf: Shelf, histories: Histories, row: Ints, note: Ints) -> Sequence[Floats]:
    """The columns ``COSINES`` for some notes of some users; NaN where the note or the user has no vector."""
    tastes = Tastes.of(shelf, histories)
    found = zip(_cosines(shelf, tastes, row, note), (tastes.profile, tastes.last), strict=True)
    return [np.where(_is_known(shelf, note, taste[row]), cosine, np.float32(np.nan)) for cosine, taste in found]


def _is_known(shelf: Shelf, note: Ints, taste: UnitVectors) -> npt.NDArray[np.bool_]:
    known: npt.NDArray[np.bool_] = (shelf.inverse_norm[note] > 0) & (taste != 0).any(axis=1)
    return known


def _cosines(shelf: Shelf, tastes: Tastes, row: Ints, note: Ints) -> tuple[Floats, Floats]:
    vectors = shelf.unit_vectors(note)
    profile: Floats = np.einsum("nd,nd->n", tastes.profile[row], vectors)
    last: Floats = np.einsum("nd,nd->n", tastes.last[row], vectors)
    return profile, last


def _normalised(vectors: npt.NDArray[np.float32]) -> UnitVectors:
    norms = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    normalised: UnitVectors = vectors / np.maximum(norms, np.float32(1e-12))[:, None]
    return normalised

"""Notes by what they say: a source that needs no events."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from models.recommend.catalogue import Catalogue
from models.recommend.histories import Histories
from models.recommend.sources import NO_PROPOSALS, Proposals, new_to_users
from models.recommend.tastes import Tastes

CONTENT: Final = "content"
"""The name of the source."""

NEAREST: Final = 40
"""How many notes are looked for near a user's profile, and near the last note."""


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
        vectors = shelf.unit_vectors(note)
        profile = np.einsum("nd,nd->n", tastes.profile[user], vectors)
        last = np.einsum("nd,nd->n", tastes.last[user], vectors)
        return new_to_users(
            Proposals(key, 1 + profile, 1 + np.maximum(profile, last), support.astype(np.float32), 1 + last),
            histories,
            n_notes,
        )

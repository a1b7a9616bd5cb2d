"""Where candidates come from: a source scores notes for users from their histories.

Another kind of source (a sequence model, content) joins by giving the same ``Proposals``.
"""

from dataclasses import dataclass, fields
from typing import Any, Final, Protocol, Self

import numpy as np
import numpy.typing as npt

from models.recommend.histories import Histories, Ints, Latest

Floats = npt.NDArray[np.float32]

EVIDENCE: Final = ("score", "strongest", "support", "from_last")
"""What a source says of a note beside its name: see ``Proposals``."""


@dataclass(frozen=True, slots=True, eq=False)
class Proposals:
    """A source's notes for some users, those they know left out, ascending by ``key`` = user * n_notes + note.

    ``score`` orders a user's notes; it is not negative. ``strongest`` is the largest contribution of one history note
    to it, ``support`` how many history notes contribute, and ``from_last`` what the user's last note contributes.
    """

    key: Ints
    score: Floats
    strongest: Floats
    support: Floats
    from_last: Floats

    def only(self, kept: npt.NDArray[np.bool_]) -> Self:
        """Some of them."""
        return type(self)(*(getattr(self, field.name)[kept] for field in fields(self)))


NO_PROPOSALS: Final = Proposals(np.empty(0, np.int64), *[np.empty(0, np.float32)] * len(EVIDENCE))
"""Of a source that has nothing for anybody."""


class Source(Protocol):
    """Proposes notes to users."""

    @property
    def name(self) -> str:
        """What an answer calls it."""
        ...

    def propose(self, histories: Histories, *, n_notes: int) -> Proposals:
        """The notes it has for each user that the user does not know; ``n_notes`` there are, which it may not know."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class NeighbourTable:
    """The strongest neighbours of each note: ``notes`` and ``weights`` of shape (n_notes, n), weight 0 for none."""

    notes: npt.NDArray[np.uint16 | np.uint32]
    weights: Floats

    def __len__(self) -> int:
        return len(self.notes)


@dataclass(frozen=True, slots=True, eq=False)
class NeighbourSource:
    """Neighbours of a user's latest notes; the note ``age`` places before the last weighs ``(age + 1) ** -decay``."""

    name: str
    table: NeighbourTable
    decay: float

    def propose(self, histories: Histories, *, n_notes: int) -> Proposals:
        """The neighbours by the sum of their weighted similarities; notes that are not in the table have none."""
        key, contribution, is_last = self._contributions(histories.latest.below(len(self.table)), n_notes)
        order = np.argsort(key, kind="stable")
        key, contribution, is_last = key[order], contribution[order], is_last[order]
        if not len(key):
            return NO_PROPOSALS
        starts = np.flatnonzero(begins(key))
        proposals = Proposals(
            key[starts],
            np.add.reduceat(contribution, starts).astype(np.float32),
            np.maximum.reduceat(contribution, starts).astype(np.float32),
            np.diff(np.append(starts, len(key))).astype(np.float32),
            np.add.reduceat(contribution * is_last, starts).astype(np.float32),
        )
        return new_to_users(proposals, histories, n_notes)

    def _contributions(
        self, latest: Latest, n_notes: int
    ) -> tuple[Ints, npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
        """Flat, for each neighbour of each latest note: its key, what it adds, and whether the note is the last."""
        weights = self.table.weights[latest.note].astype(np.float64)
        place, column = np.nonzero(weights)
        importance = np.power(latest.age + 1.0, -self.decay)
        key = latest.row[place] * n_notes + self.table.notes[latest.note[place], column].astype(np.int64)
        is_last: npt.NDArray[np.bool_] = latest.age[place] == 0
        return key, importance[place] * weights[place, column], is_last


def new_to_users(proposals: Proposals, histories: Histories, n_notes: int) -> Proposals:
    """The proposals less what users know."""
    return proposals.only(~contains(np.sort(histories.rows * n_notes + histories.notes), proposals.key))


def begins(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Which values begin a run: they differ from the one before."""
    found = np.ones(len(values), np.bool_)
    np.not_equal(values[1:], values[:-1], out=found[1:])
    return found


def contains(ascending: Ints, keys: Ints) -> npt.NDArray[np.bool_]:
    """Which of ``keys`` are among others."""
    if not len(ascending):
        return np.zeros(len(keys), np.bool_)
    place = np.minimum(np.searchsorted(ascending, keys), len(ascending) - 1)
    return np.asarray(ascending[place] == keys)

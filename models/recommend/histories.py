"""What users acted on so far, as numbers: the one form in which sources and features read it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

WINDOW: Final = 50
"""How many of a user's latest notes speak for what comes next; all of them are kept from being shown again."""


class Latest(NamedTuple):
    """The latest notes of some users, flat: whose each is, which, and how many came after it (0 for the last)."""

    row: Ints
    note: Ints
    age: Ints

    def below(self, n_notes: int) -> "Latest":
        """Those of the notes numbered below ``n_notes``; the others still count in their ages."""
        kept = self.note < n_notes
        return Latest(self.row[kept], self.note[kept], self.age[kept])


@dataclass(frozen=True, eq=False)
class Histories:
    """Note numbers of some users, oldest first; those of user ``r`` lie at ``starts[r]:starts[r + 1]``."""

    starts: Ints
    notes: Ints

    @classmethod
    def of(cls, histories: Sequence[Sequence[int]]) -> Self:
        """Lists of note numbers, one a user."""
        lengths = [len(one) for one in histories]
        notes = np.fromiter((note for one in histories for note in one), np.int64, sum(lengths))
        return cls(np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]), notes)

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> Ints:
        """How many notes each user has."""
        return np.diff(self.starts)

    @cached_property
    def rows(self) -> Ints:
        """Whose each note is."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @cached_property
    def latest(self) -> Latest:
        """At most ``WINDOW`` notes a user, in order."""
        row = self.rows
        age = self.starts[row + 1] - 1 - np.arange(len(row))
        kept = age < WINDOW
        return Latest(row[kept], self.notes[kept], age[kept])

    def below(self, n_notes: int) -> "Histories":
        """The histories of the notes numbered below ``n_notes``."""
        kept = self.notes < n_notes
        lengths = np.bincount(self.rows[kept], minlength=len(self))
        return Histories(np.concatenate([[0], np.cumsum(lengths)]), self.notes[kept])

    def block(self, first: int, end: int) -> "Histories":
        """The users from ``first`` to before ``end``."""
        starts = self.starts[first : end + 1]
        return Histories(starts - starts[0], self.notes[starts[0] : starts[-1]])

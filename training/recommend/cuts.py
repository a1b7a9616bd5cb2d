"""What is known and what is asked: a cut through the log leaves each user a history and the step that came next.

Two protocols. Leave-one-out asks for the step ``back`` from a user's end. Temporal asks, at one instant for all, for
each user's first step from then on, and knows nothing later of anybody.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from features.errors import DataError
from models.recommend.histories import Histories
from models.recommend.sources import contains
from training.recommend.sequences import Ints, Sequences

MIN_TRAIN_CUTS: Final = 3
MAX_TRAIN_CUTS: Final = 12
"""Cuts that a ranker learns at: where users are few, each one's sequence teaches at more of its steps."""

ENOUGH_ASKED: Final = 12_000
"""Users asked, in all, beyond which further cuts are left out."""

_TEMPORAL_SHARES: Final = (0.9, 0.8, 0.7, 0.6, 0.5)


class Protocol(StrEnum):
    """How a log is cut."""

    LEAVE_ONE_OUT = "leave-one-out"
    TEMPORAL = "temporal"


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """Everybody's history before the cut, and of the users who go on (``asked``) the step that follows (``targets``).

    ``asked`` are rows of ``known``, ascending, each with a history. A target that the user knows already is -1: notes
    that a user knows are never shown, so it is a miss whatever the lists hold.
    """

    known: Histories
    asked: Ints
    targets: Ints
    n_notes: int

    @property
    def histories(self) -> Histories:
        """The histories of those who are asked."""
        lengths = self.known.lengths[self.asked]
        starts = np.concatenate([[0], np.cumsum(lengths)])
        within = np.arange(starts[-1]) - np.repeat(starts[:-1], lengths)
        return Histories(starts, self.known.notes[np.repeat(self.known.starts[self.asked], lengths) + within])


class Plan(NamedTuple):
    """Cuts from the latest: the test, the validation, and those before."""

    test: Cut
    validation: Cut
    earlier: tuple[Cut, ...]

    def before_test(self) -> tuple[Cut, ...]:
        """What the ranker that is tested may learn from."""
        return _enough((self.validation, *self.earlier))

    def before_validation(self) -> tuple[Cut, ...]:
        """What the ranker that is chosen on validation may learn from."""
        return _enough(self.earlier)


def plan_cuts(sequences: Sequences, protocol: Protocol) -> Plan:
    """The cuts of a log; DataError where nobody goes on after the validation's or the test's."""
    if protocol is Protocol.LEAVE_ONE_OUT:
        cuts = [leave_out(sequences, back) for back in range(1, MAX_TRAIN_CUTS + 3)]
    else:
        cuts = [cut_at(sequences, instant) for instant in _instants(sequences.at, _TEMPORAL_SHARES)]
    plan = Plan(cuts[0], cuts[1], tuple(cuts[2:]))
    if not len(plan.test.asked) or not len(plan.validation.asked):
        raise DataError(f"no user has a history and a step after it at the {protocol} cuts")
    return plan


def _enough(cuts: Sequence[Cut]) -> tuple[Cut, ...]:
    """The latest cuts that ask enough users; those that ask nobody teach nothing."""
    asking = [cut for cut in cuts[:MAX_TRAIN_CUTS] if len(cut.asked)]
    before = np.cumsum([0, *(len(cut.asked) for cut in asking)]).tolist()
    return tuple(cut for place, cut in enumerate(asking) if place < MIN_TRAIN_CUTS or before[place] < ENOUGH_ASKED)


def leave_out(sequences: Sequences, back: int) -> Cut:
    """Ask for the step ``back`` places from each user's end (1: the last)."""
    return _cut(sequences, np.maximum(sequences.lengths - back, 0))


def cut_at(sequences: Sequences, instant: int) -> Cut:
    """Ask for each user's first step at or after an instant."""
    users = np.repeat(np.arange(len(sequences.lengths)), sequences.lengths)
    return _cut(sequences, np.bincount(users[sequences.at < instant], minlength=len(sequences.lengths)))


def _cut(sequences: Sequences, n_known: Ints) -> Cut:
    place = np.arange(len(sequences.notes)) - np.repeat(sequences.starts[:-1], sequences.lengths)
    kept: npt.NDArray[np.bool_] = place < np.repeat(n_known, sequences.lengths)
    known = Histories(np.concatenate([[0], np.cumsum(n_known)]), sequences.notes[kept])
    asked = np.flatnonzero((n_known > 0) & (n_known < sequences.lengths))
    targets = sequences.notes[sequences.starts[asked] + n_known[asked]]
    steps = np.unique(known.rows * sequences.n_notes + known.notes)
    is_known = contains(steps, asked * sequences.n_notes + targets)
    return Cut(known, asked, np.where(is_known, -1, targets), sequences.n_notes)


def _instants(at: Ints, shares: Sequence[float]) -> list[int]:
    ordered = np.sort(at)
    return [int(ordered[int(len(at) * share)]) for share in shares]

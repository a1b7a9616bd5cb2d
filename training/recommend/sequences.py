"""Who acted on which notes, in order: the event log as the recommender reads it."""
# ruff: noqa: S608 (the SQL is made of constants)

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.errors import DataError
from features.schema import EVENT_KINDS
from features.sources import Dataset
from models.recommend.sources import begins

Ints = npt.NDArray[np.int64]

MIN_USERS: Final = 50
"""Users with three steps or more, below which nothing can be said."""

_GOLDEN_RATIO: Final = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True, eq=False)
class Sequences:
    """Steps of users, flat: those of user ``u`` lie at ``starts[u]:starts[u + 1]``, in time order.

    A step is a run of events of one user on one note. ``notes`` holds note numbers, ``at`` the instant of the run's
    first event (microseconds). A note's number says nothing of its id, nor of when it first appeared: numbers are
    shuffled, so that what ties by number ties at random, and notes that appear later change no earlier one's order.
    """

    starts: Ints
    notes: Ints
    at: Ints
    note_ids: npt.NDArray[np.object_]

    @property
    def lengths(self) -> Ints:
        """Steps per user."""
        return np.diff(self.starts)

    @property
    def n_notes(self) -> int:
        """How many notes there are."""
        return len(self.note_ids)


def read_sequences(dataset: Dataset, events: Sequence[str]) -> Sequences:
    """The steps in a log that the ``events`` (kinds) make; DataError for too few users with three steps."""
    dataset.require("events")
    kind = f"CASE WHEN event IN ({_quoted(EVENT_KINDS)}) THEN event ELSE 'other' END"
    rows = dataset.connection.execute(
        f"SELECT user_id, note_id, epoch_us(occurred_at) AS at FROM events "
        f"WHERE note_id IS NOT NULL AND {kind} IN ({_quoted(events)})"
    ).fetchnumpy()
    order = np.argsort(np.asarray(rows["at"]), kind="stable")  # events at one instant stay as the table has them
    users = pd.factorize(np.asarray(rows["user_id"])[order])[0]
    notes, note_ids = pd.factorize(np.asarray(rows["note_id"])[order])
    sequences = _sequences(users, notes, np.asarray(rows["at"])[order], np.asarray(note_ids, np.object_))
    if (n_users := int((sequences.lengths >= 3).sum())) < MIN_USERS:
        raise DataError(
            f"{n_users} users acted on three notes or more ({', '.join(events)}), {MIN_USERS} are needed to recommend"
        )
    return sequences


def _sequences(users: Ints, notes: Ints, at: Ints, note_ids: npt.NDArray[np.object_]) -> Sequences:
    """Events in time order, numbered by first appearance, as steps with shuffled note numbers."""
    shuffled = np.argsort(np.arange(len(note_ids), dtype=np.uint64) * _GOLDEN_RATIO, kind="stable")
    number = np.empty(len(note_ids), np.int64)
    number[shuffled] = np.arange(len(note_ids))
    order = np.argsort(users, kind="stable")
    users, notes, at = users[order], number[notes[order]], at[order]
    is_step = begins(users) | begins(notes)
    users, notes, at = users[is_step], notes[is_step], at[is_step]
    lengths = np.bincount(users)
    return Sequences(np.concatenate([[0], np.cumsum(lengths)]), notes, at, note_ids[shuffled])


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)

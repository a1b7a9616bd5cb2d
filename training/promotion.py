"""Which version answers: promotion of a challenger that holds its own, and the way back."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from models.bundle import Bundle
from training.errors import GateError, ReleaseError
from training.gates import Gate, gates_to_json
from training.release import fetch, require
from training.tracking import CHALLENGER, CHAMPION, Move, Registry, Version

Compare = Callable[[Bundle, Bundle | None], Sequence[Gate]]
"""Judges a challenger's bundle beside the champion's, if there is one, on the same held-out data."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Who moves an alias, and why."""

    by: str
    why: str

    def move(self, kind: str, origin: Version | None, gates: Sequence[Gate] = ()) -> Move:
        """The move this reason is for, at the present instant."""
        at = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        origin_number = origin.number if origin else None
        return Move(kind, origin_number, self.by, at, self.why, gates_to_json(gates) if gates else {})


class Promotion(NamedTuple):
    """The new champion, and the gates that it passed."""

    version: Version
    gates: Sequence[Gate]


def promote(registry: Registry, task: str, compare: Compare, reason: Reason) -> Promotion:
    """Make the challenger champion, if it holds its own in the comparison; its gates stay with the version.

    GateError where the challenger falls short (the champion stays); ReleaseError without a challenger, or where it is
    the champion already.
    """
    challenger, champion = require(registry, task, CHALLENGER), registry.find(task, CHAMPION)
    if champion and champion.number == challenger.number:
        raise ReleaseError(f"{task} version {challenger.number} is the champion already")
    with tempfile.TemporaryDirectory() as folder:
        ours = fetch(registry, challenger, Path(folder))
        theirs = fetch(registry, champion, Path(folder)) if champion else None
    gates = compare(ours, theirs)
    if failed := [gate for gate in gates if not gate.passed]:
        raise GateError("; ".join(map(str, failed)))
    registry.move_champion(challenger, reason.move("promote", champion, gates))
    return Promotion(challenger, gates)


def rollback(registry: Registry, task: str, reason: Reason) -> Version:
    """Make the version champion again that was before the present one; ReleaseError where there is none."""
    champion = require(registry, task, CHAMPION)
    before = registry.version_before(champion)
    registry.move_champion(before, reason.move("rollback", champion))
    return before

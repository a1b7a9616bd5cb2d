"""Which version answers: promotion of a challenger that holds its own, and the way back."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from models.bundle import Bundle
from training.errors import GateError, ReleaseError
from training.gates import Gate
from training.release import fetch, require
from training.tracking import CHALLENGER, CHAMPION, Move, Registry, Version

Compare = Callable[[Bundle, Bundle | None], Sequence[Gate]]
"""Judges a challenger's bundle beside the champion's, if there is one, on the same held-out data."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Who moves an alias, and why."""

    by: str
    why: str

    def move(self, kind: str, origin: Version | None) -> Move:
        """The move this reason is for, at the present instant."""
        at = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        return Move(kind, origin.number if origin else None, self.by, at, self.why)


def promote(registry: Registry, task: str, compare: Compare, reason: Reason) -> Version:
    """Make the challenger champion, if it holds its own in the comparison.

    GateError where the challenger falls short (the champion stays); ReleaseError without a challenger, or where it is
    the champion already.
    """
    challenger, champion = require(registry, task, CHALLENGER), registry.find(task, CHAMPION)
    if champion and champion.number == challenger.number:
        raise ReleaseError(f"{task} version {challenger.number} is the champion already")
    with tempfile.TemporaryDirectory() as folder:
        ours = fetch(registry, challenger, Path(folder))
        theirs = fetch(registry, champion, Path(folder)) if champion else None
    if failed := [gate for gate in compare(ours, theirs) if not gate.passed]:
        raise GateError("; ".join(map(str, failed)))
    registry.move_champion(challenger, reason.move("promote", champion))
    return challenger


def rollback(registry: Registry, task: str, reason: Reason) -> Version:
    """Make the version champion again that was before the present one; ReleaseError where there is none."""
    champion = require(registry, task, CHAMPION)
    before = registry.version_before(champion)
    registry.move_champion(before, reason.move("rollback", champion))
    return before

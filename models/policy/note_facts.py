"""The facts of notes as columns: from what a quality model says, and what else is known of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from models.policy.facts import LABEL


@dataclass(frozen=True, slots=True)
class LabelSaid:
    """What a model says of one label: its kind (harm, merit or neutral), its probability, whether that is flagged."""

    name: str
    kind: str
    probability: float
    flagged: bool


@dataclass(frozen=True, slots=True)
class NoteKnown:
    """What is known of a note; None, and NaN, is unknown. A note without text has no labels and no quality."""

    labels: Sequence[LabelSaid] = ()
    quality: float | None = None
    beside: Mapping[str, float] = field(default_factory=dict[str, float])
    """Facts that no quality model says, by name, where they are known."""


def note_facts(
    names: Sequence[str], notes: Sequence[NoteKnown], *, promote_from: float, limit_below: float
) -> npt.NDArray[np.float64]:
    """The facts of these names side by side, float64 of shape (n_notes, n_names)."""
    levels = {"promote_from": promote_from, "limit_below": limit_below}
    rows = [_facts(one) | levels for one in notes]
    return np.array([[row.get(name, np.nan) for name in names] for row in rows], np.float64).reshape(
        len(notes), len(names)
    )


def _facts(note: NoteKnown) -> dict[str, Any]:
    deciding = [one for one in note.labels if one.kind != "neutral"]
    harms = [one for one in deciding if one.kind == "harm"]
    facts: dict[str, float] = {f"{LABEL}{one.name}": one.probability for one in deciding}
    facts["n_harms"] = sum(one.flagged for one in harms)
    facts["n_merits"] = sum(one.flagged for one in deciding if one.kind == "merit")
    if harms:
        facts["harm_probability"] = max(one.probability for one in harms)
    if note.quality is not None:
        facts["quality"] = note.quality
    return facts | dict(note.beside)

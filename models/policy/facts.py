"""The facts that a policy's conditions are about: what each measures, its unit, its source, and when it is unknown.

A fact is a float64 column, NaN where it is unknown; no comparison with an unknown fact holds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Final

from features.schema import EVENT_KINDS
from features.user import CATALOGUE, WINDOWS
from models.policy.words import Tier

ENGAGEMENT: Final = ("like", "collect", "comment", "share", "follow")
"""The kinds of event that answer what others made."""

TIER_CODES: Final = {tier: code for code, tier in enumerate(Tier)}
"""A tier as a fact: a higher one has the higher number."""

MAX_REACH: Final = 100_000
"""Whom a note reaches is counted up to here."""

LABEL: Final = "probability."
"""What the name of a fact about one label begins with; the label's name follows."""


@dataclass(frozen=True, slots=True)
class Fact:
    """What a condition may be about; its values lie between ``low`` and ``high``.

    ``is_spending`` where it tells how much a user spends, ``is_tier`` where its values are tiers.
    """

    name: str
    unit: str
    source: str
    missing: str
    low: float = 0
    high: float = inf
    is_spending: bool = False
    is_tier: bool = False


def _of_feature(name: str) -> Fact:
    feature = CATALOGUE[name]
    window = name.removeprefix("n_active_days_").removesuffix("d")
    high = float(window) if window.isdigit() else inf
    is_spending = "purchase" in name or name.startswith("value_")
    low = -inf if name.startswith("value_") else 0
    return Fact(name, feature.unit, feature.meaning, feature.missing, low, high, is_spending)


def _windowed(what: str, kinds: str, days: int) -> Fact:
    is_spending = what == "purchase"
    return Fact(f"n_{what}_{days}d", "events", f"{kinds} within the last {days} days", "never", is_spending=is_spending)


STATE_FACTS: Final[Mapping[str, Fact]] = {
    one.name: one
    for one in (
        Fact("n_followers", "users", "the user's profile", "no profile says it"),
        *(_windowed("engagement", ", ".join(ENGAGEMENT), days) for days in WINDOWS),
        *(_windowed(kind, f"Events of kind {kind}", days) for kind in EVENT_KINDS for days in WINDOWS),
        *map(_of_feature, CATALOGUE),
    )
}
"""What a user's state says: for tiers, and for all that follows."""

USER_FACTS: Final[Mapping[str, Fact]] = {
    **STATE_FACTS,
    **{
        one.name: one
        for one in (
            Fact("churn_probability", "0 to 1", "the churn model, at its longest horizon", "user not scored", high=1),
            Fact("churn_threshold", "0 to 1", "the churn model: from here a user is at risk", "never", high=1),
        )
    },
}
"""What is known of a user with a churn score beside the state: for stages and actions."""

NOTE_FACTS: Final[Mapping[str, Fact]] = {
    one.name: one
    for one in (
        Fact("n_harms", "labels", "the quality model: harms at or above their thresholds", "never"),
        Fact("n_merits", "labels", "the quality model: merits at or above their thresholds", "never"),
        Fact("harm_probability", "0 to 1", "the quality model: its likeliest harm", "no text, or no harm", high=1),
        Fact("quality", "0 to 100", "the quality model", "no text", high=100),
        Fact("promote_from", "0 to 100", "the quality model: where quality deserves reach", "never", high=100),
        Fact("limit_below", "0 to 100", "the quality model: where quality is poor", "never", high=100),
        Fact("author_tier", "tier", "the policy's tiers, over the author's state", "author not given", is_tier=True),
        Fact("author_credibility", "0 to 1", "how often people found the author's notes sound", "none was reviewed",
             high=1),
        Fact("reach", "users", "users with an event on the note", "the note is not stored", high=MAX_REACH),
        Fact("n_reports", "reports", "users who reported the note", "the note is not stored"),
    )
}  # fmt: skip
"""What is known of a note; beside these, ``probability.<label>`` for every harm and merit of the quality model."""


def note_fact(name: str) -> Fact | None:
    """The fact about notes with a name, that of a label included."""
    if name.startswith(LABEL) and len(name) > len(LABEL):
        return Fact(name, "0 to 1", "the quality model: P(label)", "no text, no such label, or a neutral one", high=1)
    return NOTE_FACTS.get(name)

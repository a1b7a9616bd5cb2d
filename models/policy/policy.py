"""A policy as data: rules that give tiers, stages and decisions, and the table of actions."""

from collections.abc import Sequence
from dataclasses import dataclass

from features.wording import Text
from models.policy.conditions import Condition
from models.policy.words import ActionKind, Stage, Tier


@dataclass(frozen=True, slots=True)
class Rule:
    """A named rule: where all of its conditions hold, its outcome; ``line`` is where it stands in the file."""

    name: str
    outcome: str
    when: tuple[Condition, ...]
    text: Text
    line: int


@dataclass(frozen=True, slots=True)
class Action:
    """An action, for users of these tiers and stages of whom its conditions hold.

    ``cooldown_days`` is how long after it the same user is left alone by it, ``daily_cap`` for how many users a day it
    may be done at most, ``money`` what the user gets, in the community's currency; the last two are None for no such.
    """

    name: str
    kind: ActionKind
    tiers: tuple[Tier, ...]
    stages: tuple[Stage, ...]
    when: tuple[Condition, ...]
    priority: int
    cooldown_days: int
    daily_cap: int | None
    money: float | None
    text: Text
    line: int


@dataclass(frozen=True, slots=True)
class Policy:
    """A whole policy. Rules are tried in their order, and the first that fires counts; ``version`` is its digest."""

    version: str
    name: str
    tiers: Sequence[Rule]
    stages: Sequence[Rule]
    actions: Sequence[Action]
    notes: Sequence[Rule]

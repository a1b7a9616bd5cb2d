"""Conditions: a comparison of a fact, as a line of text that people read and as a row of numbers that NumPy does.

``n_followers >= 1000``, ``quality < limit_below``, ``author_tier >= koc``, ``n_reports is unknown``. Every condition is
one interval: ``low <= fact - other <= high``, where ``other`` is the fact compared with, or nothing. No condition about
an unknown fact holds, but the one that asks for just that.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, isfinite, nextafter
from reprlib import repr as short
from typing import Final

import numpy as np
import numpy.typing as npt

from models.policy.errors import Code
from models.policy.facts import TIER_CODES, Fact
from models.policy.words import Tier

NOTHING: Final = ""
"""The name of what stands where a condition compares with no other fact: it is always 0."""

_FORM: Final = re.compile(r"([\w.]+)\s*(>=|<=|>|<|=)\s*([\w.+-]+)|([\w.]+) is (unknown|known)")


@dataclass(frozen=True, slots=True)
class Condition:
    """``low <= fact - other <= high``; ``is_unknown`` turns it round: then it holds where the fact is unknown alone."""

    text: str
    fact: str
    other: str
    low: float
    high: float
    is_unknown: bool = False


ALWAYS: Final = Condition("", NOTHING, NOTHING, -inf, inf)
"""What a rule without conditions asks."""


class ConditionError(ValueError):
    """The text is no condition; ``code`` says why, the message in words."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code


def read_condition(text: str, find: Callable[[str], Fact | None]) -> Condition:
    """The condition that a text states about facts that ``find`` knows; ConditionError for any other."""
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise ConditionError("bad_condition", f"not a condition: {short(text)}; write such as 'n_followers >= 1000'")
    name, operator, value, asked, known = match.groups()
    fact = _found(name or asked, find)
    if asked:
        return Condition(text, fact.name, NOTHING, -inf, inf, is_unknown=known == "unknown")
    other, bound = _bound(fact, value, find)
    low, high = _interval(operator, bound)
    if not other and not _within_range(fact, low, high):
        raise ConditionError(
            "out_of_range", f"{fact.name} lies between {fact.low:g} and {fact.high:g}: {short(text)} says nothing of it"
        )
    return Condition(text, fact.name, other, low, high)


def _found(name: str, find: Callable[[str], Fact | None]) -> Fact:
    fact = find(name)
    if fact is None:
        raise ConditionError("unknown_fact", f"no fact is called {short(name)} here; docs/policy.md lists them")
    return fact


def _bound(fact: Fact, value: str, find: Callable[[str], Fact | None]) -> tuple[str, float]:
    """What a fact is compared with: another fact, and a number."""
    if fact.is_tier:
        if value not in {*Tier}:
            raise ConditionError("bad_condition", f"{short(value)} is no tier: those are {', '.join(Tier)}")
        return NOTHING, float(TIER_CODES[Tier(value)])
    try:
        bound = float(value)
    except ValueError:
        other = _found(value, find)
        if other.is_tier or other.name == fact.name:
            raise ConditionError("bad_condition", f"{fact.name} can't be compared with {value}") from None
        return other.name, 0.0
    if not isfinite(bound):
        raise ConditionError("bad_condition", f"{short(value)} is no finite number")
    return NOTHING, bound


def _interval(operator: str, bound: float) -> tuple[float, float]:
    lows = {">=": bound, ">": nextafter(bound, inf), "=": bound}
    highs = {"<=": bound, "<": nextafter(bound, -inf), "=": bound}
    return lows.get(operator, -inf), highs.get(operator, inf)


def _within_range(fact: Fact, low: float, high: float) -> bool:
    """Whether a condition tells values of the fact apart: some of them meet it, and not all."""
    top = max(TIER_CODES.values()) if fact.is_tier else fact.high
    meets_some = low <= top and high >= fact.low
    return meets_some and not (low <= fact.low and high >= top)


class Conjunctions:
    """Many rules' conditions, asked of many facts at once: a rule fires where all of its conditions hold."""

    def __init__(self, rules: Sequence[Sequence[Condition]]) -> None:
        whole = [list(rule) or [ALWAYS] for rule in rules]
        flat = [one for rule in whole for one in rule]
        self.facts = tuple(sorted({name for one in flat for name in (one.fact, one.other)} - {NOTHING}))
        """Which facts ``fired`` takes, and in which order."""
        column = {name: place for place, name in enumerate((*self.facts, NOTHING))}
        self._fact = np.array([column[one.fact] for one in flat], np.intp)
        self._compared = np.flatnonzero([one.other != NOTHING for one in flat])
        self._other = np.array([column[flat[place].other] for place in self._compared], np.intp)
        self._low, self._high = (np.array([getattr(one, name) for one in flat]) for name in ("low", "high"))
        self._turned = np.array([one.is_unknown for one in flat])
        self._starts = np.cumsum([0, *map(len, whole[:-1])])

    def fired(self, facts: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Which rules fire, shape (n, n_rules), for facts of shape (n, n_facts + 1) whose last column is 0."""
        difference = facts.take(self._fact, axis=1)
        if len(self._other):
            difference[:, self._compared] -= facts.take(self._other, axis=1)
        holds = (difference >= self._low) & (difference <= self._high)
        holds ^= self._turned
        return np.logical_and.reduceat(holds, self._starts, axis=1)

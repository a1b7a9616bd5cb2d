"""What no single line of a policy shows: rules that can never fire, no rule for the rest, money by spending power."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import inf

from models.policy.conditions import NOTHING, Condition
from models.policy.errors import Problem
from models.policy.facts import USER_FACTS
from models.policy.policy import Action, Policy, Rule
from models.policy.words import Stage, Tier


def check(policy: Policy) -> Iterator[Problem]:
    """The problems of a policy whose every line is good."""
    for section, rules in (("tiers", policy.tiers), ("stages", policy.stages), ("notes", policy.notes)):
        yield from _rest(section, rules)
        yield from _never_fires(section, rules)
    for action in policy.actions:
        yield from _unreachable(action, policy)
        yield from _money_by_spending(action, policy)


def _rest(section: str, rules: Sequence[Rule]) -> Iterator[Problem]:
    """The last rule, and it alone, must fire for whoever is left."""
    if rules[-1].when:
        message = f"{section}: the last rule, {rules[-1].name!r}, must have no conditions: it is for the rest"
        yield Problem(rules[-1].line, "no_catch_all", message)
    for rule in rules[:-1]:
        if not rule.when:
            message = f"{section}: only the last rule may be without conditions; nothing comes after {rule.name!r}"
            yield Problem(rule.line, "catch_all_not_last", message)


def _never_fires(section: str, rules: Sequence[Rule]) -> Iterator[Problem]:
    for place, rule in enumerate(rules):
        met = _met(rule.when)
        if clash := _contradiction(rule.when):
            yield Problem(rule.line, "never_fires", f"{section}: {rule.name!r} can never fire: {clash}")
        elif earlier := next((one for one in rules[:place] if one.when and _implies(met, one.when)), None):
            message = f"{section}: {rule.name!r} can never fire: {earlier.name!r} above it takes all of its cases"
            yield Problem(rule.line, "never_fires", message)


def _unreachable(action: Action, policy: Policy) -> Iterator[Problem]:
    """An action is for tiers and stages that some rule gives, and its conditions can hold together."""
    if clash := _contradiction(action.when):
        yield Problem(action.line, "never_fires", f"actions: {action.name!r} is never eligible: {clash}")
    wanted: tuple[tuple[Iterable[StrEnum], Sequence[Rule], type[StrEnum]], ...] = (
        (action.tiers, policy.tiers, Tier),
        (action.stages, policy.stages, Stage),
    )
    for names, rules, kind in wanted:
        given = {rule.outcome for rule in rules}
        lost = [str(one) for one in names if one not in given]
        if lost and {*names} != {*kind}:
            message = f"actions: {action.name!r} is for {', '.join(lost)}, which no rule gives"
            yield Problem(action.line, "never_fires", message)


def _money_by_spending(action: Action, policy: Policy) -> Iterator[Problem]:
    """Who gets money, or how much, must not depend on how much they spend: not by the action's own conditions, nor by
    those of the rules that its tiers and stages come from.
    """
    if not action.money:
        return
    read = [*action.when]
    for names, rules, kind in ((action.tiers, policy.tiers, Tier), (action.stages, policy.stages, Stage)):
        if {*names} != {*kind}:
            read += [one for rule in rules for one in rule.when]
    spending = sorted({name for one in read for name in (one.fact, one.other) if _is_spending(name)})
    if spending:
        message = (
            f"actions: {action.name!r} gives money depending on {', '.join(spending)}: "
            "money must not vary by spending power (大数据杀熟)"
        )
        yield Problem(action.line, "money_by_spending", message)


def _is_spending(name: str) -> bool:
    return name in USER_FACTS and USER_FACTS[name].is_spending


def _contradiction(when: Sequence[Condition]) -> str | None:
    """Two conditions that can't both hold, in words."""
    for place, one in enumerate(when):
        for other in when[:place]:
            if _clash(one, other):
                return f"{other.text!r} and {one.text!r} can't both hold"
    return None


def _clash(one: Condition, other: Condition) -> bool:
    if one.is_unknown or other.is_unknown:
        asked, met = (one, other) if one.is_unknown else (other, one)
        return not met.is_unknown and asked.fact in {met.fact, met.other}
    low, high = _seen_from(other, one)
    return low > one.high or high < one.low


def _seen_from(other: Condition, one: Condition) -> tuple[float, float]:
    """The other's interval, of the difference that one's is about; everything where that is another one."""
    if (other.fact, other.other) == (one.fact, one.other):
        return other.low, other.high
    if (other.fact, other.other) == (one.other, one.fact):
        return -other.high, -other.low
    return -inf, inf


@dataclass(frozen=True, slots=True)
class _Met:
    """What conditions that all hold say: of each difference of two facts the interval, and which facts are known."""

    intervals: Mapping[tuple[str, str], tuple[float, float]]
    known: frozenset[str]
    unknown: frozenset[str]


def _met(when: Sequence[Condition]) -> _Met:
    intervals: dict[tuple[str, str], tuple[float, float]] = {}
    compared = [one for one in when if not one.is_unknown]
    for one in compared:
        for pair, low, high in (
            ((one.fact, one.other), one.low, one.high),
            ((one.other, one.fact), -one.high, -one.low),
        ):
            was = intervals.get(pair, (-inf, inf))
            intervals[pair] = max(was[0], low), min(was[1], high)
    known = frozenset(name for one in compared for name in (one.fact, one.other))
    return _Met(intervals, known, frozenset(one.fact for one in when if one.is_unknown))


def _implies(met: _Met, wide: Sequence[Condition]) -> bool:
    """Whether all the wide ones hold wherever all those met do, as far as intervals of one fact tell."""
    return all(_is_implied(one, met) for one in wide)


def _is_implied(wide: Condition, met: _Met) -> bool:
    if wide.is_unknown:
        return wide.fact in met.unknown
    low, high = met.intervals.get((wide.fact, wide.other), (-inf, inf))
    if wide.other != NOTHING and (low, high) == (-inf, inf):
        return False
    return wide.fact in met.known and low >= wide.low and high <= wide.high

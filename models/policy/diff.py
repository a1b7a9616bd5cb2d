"""What one policy says otherwise than another, rule by rule, in words."""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

from features.wording import Text
from models.policy.conditions import Condition
from models.policy.policy import Action, Policy, Rule

SECTIONS = ("tiers", "stages", "actions", "notes")


def diff(before: Policy, after: Policy) -> list[str]:
    """A line for each rule and action that came, went, changed, or moved among the others."""
    return [
        line for section in SECTIONS for line in _section(section, getattr(before, section), getattr(after, section))
    ]


def _section(section: str, before: Sequence[Rule | Action], after: Sequence[Rule | Action]) -> Iterator[str]:
    was, now = ({one.name: one for one in rules} for rules in (before, after))
    for name in was.keys() - now.keys():
        yield f"{section}: {name} is gone"
    for name, one in now.items():
        if name not in was:
            yield f"{section}: {name} is new, {_shown(one)}"
            continue
        for key in (field.name for field in fields(one) if field.name not in ("name", "line")):
            old, new = _said(getattr(was[name], key)), _said(getattr(one, key))
            if old != new:
                yield f"{section}: {name}: {key} was {old}, is {new}"
    kept = [name for name in was if name in now]
    if section != "actions" and kept != [name for name in now if name in was]:
        yield f"{section}: the order was {', '.join(kept)}, is {', '.join(name for name in now if name in was)}"


def _shown(one: Rule | Action) -> str:
    outcome = one.outcome if isinstance(one, Rule) else one.kind
    return f"{outcome} when {_said(one.when)}"


def _said(value: Any) -> str:
    if isinstance(value, Text):
        return f"{value.zh} / {value.en}"
    if isinstance(value, tuple):
        return "[" + ", ".join(one.text if isinstance(one, Condition) else str(one) for one in value) + "]"
    return str(value)

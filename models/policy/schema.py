"""Reads a policy file: every key known, every value of its type and in its range, or all that is wrong, by line."""

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from reprlib import repr as short
from typing import Any, Final, TypeVar, cast

from features.wording import Text
from models.bundle import canonical_json
from models.policy.checks import check
from models.policy.conditions import Condition, ConditionError, read_condition
from models.policy.errors import Code, PolicyError, Problem
from models.policy.facts import STATE_FACTS, USER_FACTS, Fact, note_fact
from models.policy.lines import Document, Path, read_document
from models.policy.policy import Action, Policy, Rule
from models.policy.words import ActionKind, Decision, Stage, Tier

FORMAT: Final = 1
MAX_ENTRIES: Final = 200
"""How many rules, or actions, a section may have."""
MAX_CONDITIONS: Final = 20
"""How many conditions a rule, or an action, may have."""
MAX_CONDITIONS_IN_ALL: Final = 1_000
"""How many a policy may have: each is asked of every user or note."""

_MOST: Final = 10**9
_E = TypeVar("_E", bound=StrEnum)
_Find = Callable[[str], Fact | None]


def read_policy(text: str) -> Policy:
    """The policy that a TOML text states; PolicyError with every problem of it."""
    reader = _Reader(read_document(text))
    policy = reader.policy()
    if reader.problems:
        raise PolicyError(reader.problems)
    if problems := [*check(policy)]:
        raise PolicyError(problems)
    return policy


class _Reader:
    """Goes through a document and notes what is wrong; what is wrong reads as something harmless meanwhile."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self.problems: list[Problem] = []

    def policy(self) -> Policy:
        """The policy; worth something only without ``problems``."""
        data = self._document.data
        self._keys(data, (), {"format", "name", "tiers", "stages", "actions", "notes"})
        if data.get("format") != FORMAT:
            self._note(("format",), "bad_format", f"format must be {FORMAT}")
        policy = Policy(
            hashlib.sha256(canonical_json(_plain(data))).hexdigest(),
            self._text(data, (), "name"),
            self._rules("tiers", "tier", Tier, STATE_FACTS.get),
            self._rules("stages", "stage", Stage, USER_FACTS.get),
            tuple(self._action(one, path) for one, path in self._entries("actions")),
            self._rules("notes", "decision", Decision, note_fact),
        )
        whole: list[Rule | Action] = [*policy.tiers, *policy.stages, *policy.actions, *policy.notes]
        if (n_conditions := sum(len(one.when) for one in whole)) > MAX_CONDITIONS_IN_ALL:
            what = f"the policy has {n_conditions} conditions, at most {MAX_CONDITIONS_IN_ALL} are allowed"
            self._note(("notes",), "too_many", what)
        return policy

    def _rules(self, section: str, outcome: str, outcomes: type[StrEnum], find: _Find) -> tuple[Rule, ...]:
        rules = []
        for one, path in self._entries(section):
            self._keys(one, path, {"rule", outcome, "when", "zh", "en"})
            rules.append(
                Rule(
                    self._text(one, path, "rule"),
                    self._choice(one.get(outcome), (*path, outcome), outcomes),
                    self._conditions(one, path, find),
                    Text(self._text(one, path, "zh"), self._text(one, path, "en")),
                    self._document.line(path),
                )
            )
        return tuple(rules)

    def _action(self, one: Mapping[str, Any], path: Path) -> Action:
        optional = {"tiers", "stages", "when", "daily_cap", "money"}
        self._keys(one, path, {"action", "kind", "priority", "cooldown_days", "zh", "en", *optional})
        return Action(
            self._text(one, path, "action"),
            self._choice(one.get("kind"), (*path, "kind"), ActionKind),
            self._choices(one, path, "tiers", Tier),
            self._choices(one, path, "stages", Stage),
            self._conditions(one, path, USER_FACTS.get),
            int(self._number(one, path, "priority", 0, 1_000, whole=True)),
            int(self._number(one, path, "cooldown_days", 0, 3_650, whole=True)),
            int(self._number(one, path, "daily_cap", 1, _MOST, whole=True)) if "daily_cap" in one else None,
            self._number(one, path, "money", 0, _MOST, whole=False) if "money" in one else None,
            Text(self._text(one, path, "zh"), self._text(one, path, "en")),
            self._document.line(path),
        )

    def _entries(self, section: str) -> Iterator[tuple[Mapping[str, Any], Path]]:
        """The section's tables; their names must differ."""
        value = self._document.data.get(section)
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value) or not value:
            self._note((section,), "missing_section", f"[[{section}]] must stand here, once for each entry")
            return
        if len(value) > MAX_ENTRIES:
            self._note((section,), "too_many", f"{section} has {len(value)} entries, at most {MAX_ENTRIES} are allowed")
        seen = set[str]()
        for place, one in enumerate(value[:MAX_ENTRIES]):
            key = "action" if section == "actions" else "rule"
            if (name := str(one.get(key))) in seen:
                self._note(
                    (section, place, key), "duplicate_name", f"another entry of {section} is called {short(name)}"
                )
            seen.add(name)
            yield one, (section, place)

    def _keys(self, table: Mapping[str, Any], path: Path, known: set[str]) -> None:
        for key in table.keys() - known:
            self._note(
                (*path, key), "unknown_key", f"{short(key)} is no key here; known are {', '.join(sorted(known))}"
            )

    def _text(self, table: Mapping[str, Any], path: Path, key: str) -> str:
        value = table.get(key)
        if not isinstance(value, str) or not value.strip():
            self._note((*path, key), "bad_type", f"{key} must be a text, got {short(value)}" if key in table
                       else f"{key} is missing: a text")  # fmt: skip
        return str(value)

    def _number(self, table: Mapping[str, Any], path: Path, key: str, low: float, high: float, *, whole: bool) -> float:
        value = table.get(key)
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            kind = "a whole number" if whole else "a number"
            self._note((*path, key), "bad_type", f"{key} must be {kind}, got {short(value)}")
            return low
        if not low <= value <= high:
            self._note((*path, key), "out_of_range", f"{key} must lie between {low:g} and {high:g}, got {short(value)}")
            return low
        return value

    def _choices(self, table: Mapping[str, Any], path: Path, key: str, choices: type[_E]) -> tuple[_E, ...]:
        """The values of a list, in the order of the choices; all of them where the key is absent."""
        value = table.get(key, [*choices])
        if not isinstance(value, list) or not value:
            self._note((*path, key), "bad_type", f"{key} must be a list of names, got {short(value)}")
            return ()
        chosen = {self._choice(one, (*path, key, place), choices) for place, one in enumerate(value)}
        return tuple(one for one in choices if one in chosen)

    def _choice(self, value: Any, path: Path, choices: type[_E]) -> _E:
        first, *_ = choices
        if not isinstance(value, str) or value not in {*choices}:
            key = path[-1] if isinstance(path[-1], str) else path[-2]
            self._note(path, "unknown_name", f"{key} must be one of {', '.join(choices)}; got {short(value)}")
            return first
        return choices(value)

    def _conditions(self, table: Mapping[str, Any], path: Path, find: _Find) -> tuple[Condition, ...]:
        value = table.get("when", [])
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            self._note((*path, "when"), "bad_type", f"when must be a list of conditions, got {short(value)}")
            return ()
        if len(value) > MAX_CONDITIONS:
            what = f"when has {len(value)} conditions, at most {MAX_CONDITIONS} are allowed"
            self._note((*path, "when"), "too_many", what)
        texts = cast("list[str]", value)[:MAX_CONDITIONS]
        found = (self._condition(one, (*path, "when", place), find) for place, one in enumerate(texts))
        return tuple(one for one in found if one)

    def _condition(self, text: str, path: Path, find: _Find) -> Condition | None:
        try:
            return read_condition(text, find)
        except ConditionError as error:
            self._note(path, error.code, str(error))
            return None

    def _note(self, path: Path, code: Code, message: str) -> None:
        named = [str(one) for one in path if isinstance(one, str)]
        self.problems.append(Problem(self._document.line(path), code, f"{'.'.join(named[:1])}: {message}"))


def _plain(value: Any) -> Any:
    """A TOML value as JSON has it: instants as text."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value if isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)) else str(value)

"""What can be wrong with a policy file, line by line."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

Code: TypeAlias = Literal[
    "not_toml",
    "bad_format",
    "missing_section",
    "too_many",
    "unknown_key",
    "bad_type",
    "out_of_range",
    "unknown_name",
    "duplicate_name",
    "bad_condition",
    "unknown_fact",
    "never_fires",
    "no_catch_all",
    "catch_all_not_last",
    "money_by_spending",
]
"""What can be wrong."""


class Problem(NamedTuple):
    """Something wrong at a line (from 1) of a policy file: a stable code, and words for whoever wrote the file."""

    line: int
    code: Code
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}"


class PolicyError(Exception):
    """The file is no policy; ``problems`` says where and why, in the order of its lines. Change the file."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = sorted(problems)
        super().__init__("\n".join(map(str, self.problems)))

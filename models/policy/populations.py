"""How many users a policy puts into each tier and stage, and for how many it has each action."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from models.policy.evaluation import PolicyEvaluator, UserOutcomes
from models.policy.words import Stage, Tier


def _empty() -> npt.NDArray[np.int64]:
    return np.zeros((len(Tier), len(Stage)), np.int64)


@dataclass(slots=True)
class Populations:
    """Counts of users: by tier and stage, shape (n_tiers, n_stages), and by action."""

    by_tier_and_stage: npt.NDArray[np.int64] = field(default_factory=_empty)
    by_action: dict[str, int] = field(default_factory=dict[str, int])

    def add(self, policy: PolicyEvaluator, outcomes: UserOutcomes) -> None:
        """Count more users, all by one policy."""
        where = policy.tier_codes[outcomes.tier], policy.stage_codes[outcomes.stage]
        np.add.at(self.by_tier_and_stage, where, 1)
        for action, n in zip(policy.actions, outcomes.eligible.sum(axis=0).tolist(), strict=True):
            self.by_action[action.name] = self.by_action.get(action.name, 0) + n

    def rows(self, before: "Populations | None" = None) -> list[list[str]]:
        """A table: a row for each tier, a column for each stage, and the sums; with ``before``, the changes."""
        ours = _with_sums(self.by_tier_and_stage)
        theirs = _with_sums(before.by_tier_and_stage) if before else ours
        head = ["", *Stage, "all"]
        names = [*Tier, "all"]
        body = zip(names, ours.tolist(), theirs.tolist(), strict=True)
        return [head, *([name, *map(_cell, own, other)] for name, own, other in body)]

    def action_rows(self, before: "Populations | None" = None) -> list[list[str]]:
        """A table: a row for each action, with how many users are eligible; with ``before``, the changes."""
        was: Mapping[str, int] = before.by_action if before else self.by_action
        names = dict.fromkeys([*self.by_action, *was])
        return [
            ["action", "eligible"],
            *([name, _cell(self.by_action.get(name, 0), was.get(name, 0))] for name in names),
        ]


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Rows as a table that also reads well as it is."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return "\n".join([lines[0], "| " + " | ".join("-" * max(width, 3) for width in widths) + " |", *lines[1:]])


def _with_sums(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    tall = np.vstack([counts, counts.sum(axis=0)])
    return np.column_stack([tall, tall.sum(axis=1)])


def _cell(n: int, before: int) -> str:
    return f"{n:,}" if n == before else f"{n:,} ({n - before:+,})"

"""Counts side by side, as a chart and in words: users by tier, stage and churn probability, notes by quality."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from models.policy.words import WORDS, Stage, Tier
from serving.console.charts import bar_chart
from serving.console.languages import Language

_WORDS: Final[Mapping[str, Any]] = {"tier": Tier, "stage": Stage}


class Bars(NamedTuple):
    """What is counted, and how many there are of each kind, in order."""

    counted: str
    n_by_label: Mapping[str, int]

    @property
    def text(self) -> str:
        """The bars in words, for who does not see them."""
        return ", ".join(f"{label}: {n:,}" for label, n in self.n_by_label.items())

    def drawn(self) -> bytes:
        """The bars as SVG."""
        return bar_chart([*self.n_by_label], self.counted, [*self.n_by_label.values()])


def bars_of(said: Language, counts: Mapping[str, int]) -> dict[str, Bars]:
    """The bars of a day's counts (see docs/kpis.md), by their names there."""
    by_word = {
        name: Bars(said.say("用户"), {said.text(WORDS[one]): counts.get(f"{name}:{one}", 0) for one in words})
        for name, words in _WORDS.items()
    }
    tenths = {
        name: Bars(counted, {f"{10 * one}–{10 * one + 10}{unit}": counts.get(f"{name}:{one}", 0) for one in range(10)})
        for name, counted, unit in (("churn", said.say("用户"), "%"), ("quality", said.say("笔记"), ""))
    }
    return by_word | tenths

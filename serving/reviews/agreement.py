"""How far reviewers agree: Cohen's kappa between first decisions and second opinions.

Cohen, J. (1960). A coefficient of agreement for nominal scales. Educational and Psychological Measurement 20(1).
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple


class Agreement(NamedTuple):
    """``kappa`` is 1 where all pairs agree, 0 where they do as often as chance would; None where it has no meaning."""

    n_pairs: int
    agreed: float | None
    kappa: float | None


def agreement(pairs: Sequence[tuple[str, str]]) -> Agreement:
    """The agreement of pairs of verdicts."""
    if not pairs:
        return Agreement(0, None, None)
    n = len(pairs)
    agreed = sum(first == second for first, second in pairs) / n
    firsts, seconds = (Counter(own) for own in zip(*pairs, strict=True))
    by_chance = sum(firsts[one] * seconds[one] for one in firsts) / n**2
    return Agreement(n, agreed, None if by_chance == 1 else (agreed - by_chance) / (1 - by_chance))

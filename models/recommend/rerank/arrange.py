"""Places candidates one by one: worth to the user and what each adds to the window, within the rules of exposure."""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from models.recommend.rerank.diversity import Gains, Method, open_diversity
from models.recommend.vectors import UnitVectors

Bools = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int32]

_NOBODY: Final = -1


@dataclass(frozen=True, slots=True)
class Arrangement:
    """The rules of a feed.

    ``diversity`` weighs what a note adds against its relevance, both 0 to 1 (0: relevance alone). An author has at
    most ``per_author`` of any ``window`` (2 or more) places in a row; when nothing else is left the rule gives way.
    Every ``support_every``-th place goes to the best supported note, if there is one (0: none does).
    """

    method: Method = Method.SPECTRUM
    diversity: float = 0.3
    window: int = 10
    per_author: int = 2
    support_every: int = 10


@dataclass(frozen=True, slots=True, eq=False)
class Choices:
    """Candidates, best first: any ``score`` that orders them, vectors (n, d) with zeros where unknown, authors' codes.

    ``supported`` are those that the community wants seen. An author's code of -1 is nobody's.
    """

    score: npt.NDArray[np.float32]
    vectors: UnitVectors
    author: Codes
    supported: Bools


@dataclass(frozen=True, slots=True, eq=False)
class Session:
    """What was shown before in this session: how many notes, and the latest ones' vectors (m, d) and authors."""

    n_shown: int
    vectors: UnitVectors
    author: Codes


class Placed(NamedTuple):
    """A candidate by its place among the choices, and whether it came by the support that it is given."""

    choice: int
    by_support: bool


def may_be_shown(withheld: Bools, quality: npt.NDArray[np.float32], *, min_quality: float) -> Bools:
    """The quality gate: neither withheld nor known to be worth less than ``min_quality``."""
    return ~withheld & ~(quality < min_quality)  # NaN, what nothing has judged, passes


def relevance(score: npt.NDArray[np.float32]) -> Gains:
    """Scores brought between 0 (the list's least) and 1 (its best): a ranker's scale means nothing across users."""
    low, high = score.min(initial=np.inf), score.max(initial=-np.inf)
    return (score - low) / (high - low) if high > low else np.ones(len(score), np.float32)


def arrange(choices: Choices, session: Session, rules: Arrangement, *, n: int) -> list[Placed]:
    """Up to ``n`` of the choices, in the order to show them; each place goes to the greatest sum of relevance and
    ``rules.diversity`` times what the note adds, among those that the rules allow there.
    """
    worth, n_choices = relevance(choices.score), len(choices.score)
    recent = slice(max(0, len(session.author) - rules.window), None)
    vectors = np.concatenate([choices.vectors, session.vectors[recent]])
    measure = open_diversity(rules.method, vectors, window=rules.window)
    for shown in range(n_choices, len(vectors)):
        measure.show(shown)
    authors = session.author[recent].tolist()
    left = np.ones(n_choices, np.bool_)
    placed: list[Placed] = []
    while len(placed) < min(n, n_choices):
        allowed = left & ~_crowded(choices.author, authors, rules)
        supported = allowed & choices.supported
        by_support = _is_support_place(session.n_shown + len(placed), rules) and bool(supported.any())
        among = supported if by_support else allowed if allowed.any() else left
        total = worth + rules.diversity * measure.gains()[:n_choices] if rules.diversity else worth
        choice = int(np.where(among, total, -np.inf).argmax())
        placed.append(Placed(choice, by_support))
        left[choice] = False
        authors.append(int(choices.author[choice]))
        measure.show(choice)
    return placed


def _crowded(author: Codes, shown: list[int], rules: Arrangement) -> Bools:
    """Whose author has their share of the places up to the next one."""
    recent = shown[-(rules.window - 1) :]
    full = [one for one in set(recent) if one != _NOBODY and recent.count(one) >= rules.per_author]
    return np.isin(author, full) if full else np.zeros(len(author), np.bool_)


def _is_support_place(place: int, rules: Arrangement) -> bool:
    return rules.support_every > 0 and (place + 1) % rules.support_every == 0

"""One user's feed: candidates, what may not be shown, the order, and now and then a look beyond it."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from models.recommend.catalogue import UNKNOWN, Catalogue, Shelf
from models.recommend.histories import Histories, Ints
from models.recommend.rerank.arrange import Arrangement, Choices, Placed, Session, arrange, may_be_shown
from models.recommend.scorer import POPULAR, RecommendScorer

FRESH: Final = "fresh"
"""The source of notes that nobody may know yet: the newest, good as far as anything has judged them."""

SUPPORTED: Final = "supported"
"""The source of notes in the places that are kept for authors who are new."""

DAY_US: Final = 86_400_000_000
_PER_SOURCE: Final = 3
"""Notes looked at per place, of the popular, the fresh and the supported."""

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class FeedRules:
    """What a feed keeps to: the quality a note must have where it is known, how long a note is fresh and an author new,
    the arrangement, and the share of feeds that look beyond the order.
    """

    arrangement: Arrangement = field(default_factory=Arrangement)
    min_quality: float = 0.0
    fresh_days: int = 14
    new_author_days: int = 30
    explore_share: float = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """What is asked: note numbers a user took up (oldest first), those not to show, and authors (codes) neither.

    ``context`` is a note being looked at, ``category`` a code; ``explore`` says whether this feed looks beyond the
    order, with randomness of its own, and ``recent`` are the notes that the session showed last of ``n_shown``.
    """

    n: int
    now: int
    history: Sequence[int] = ()
    not_again: Sequence[int] = ()
    hidden_authors: Sequence[int] = ()
    context: int | None = None
    category: int | None = None
    n_shown: int = 0
    recent: Sequence[int] = ()
    explore: np.random.Generator | None = None


class FeedNote(NamedTuple):
    """A note in a feed: who found it, the score that orders it where the model gave one, and with what chance it is
    in such a feed at all.
    """

    number: int
    source: str
    score: float | None
    propensity: float


@dataclass(frozen=True, slots=True, eq=False)
class _List:
    """Notes with a score that orders them, descending, and their sources; ``is_scored`` where a model gave it."""

    note: Ints
    score: npt.NDArray[np.float32]
    source: Sequence[str]
    is_scored: bool

    def only(self, allowed: Bools) -> "_List":
        """Those that may be shown."""
        kept = allowed[self.note]
        source = [name for name, one in zip(self.source, kept.tolist(), strict=True) if one]
        return _List(self.note[kept], self.score[kept], source, self.is_scored)

    def followed_by(self, others: Sequence[int]) -> "_List":
        """These, and others with the least score of all."""
        score = np.full(len(others), self.score.min(initial=0), np.float32)
        notes = np.concatenate([self.note, np.array(others, np.int64)])
        return _List(
            notes, np.concatenate([self.score, score]), [*self.source, *[SUPPORTED] * len(others)], self.is_scored
        )

    def shown(self, placed: Placed, propensity: float) -> FeedNote:
        """One of them, in its place."""
        source = SUPPORTED if placed.by_support else self.source[placed.choice]
        is_scored = self.is_scored and self.source[placed.choice] != SUPPORTED
        score = float(self.score[placed.choice]) if is_scored else None
        return FeedNote(int(self.note[placed.choice]), source, score, propensity)


def make_feed(scorer: RecommendScorer, catalogue: Catalogue, wanted: Wanted, rules: FeedRules) -> list[FeedNote]:
    """Up to ``wanted.n`` notes: those the model ranks for the history; where they don't suffice, popular and fresh ones
    in turn.
    """
    shelf = catalogue.shelf()
    allowed = _allowed(shelf, wanted, rules)
    feed = _place(shelf, _ranked(scorer, catalogue, wanted).only(allowed), allowed, wanted, rules, before=[])
    if len(feed) < wanted.n:
        allowed[[one.number for one in feed]] = False
        feed += _place(shelf, _unranked(scorer, shelf, allowed, wanted, rules), allowed, wanted, rules, before=feed)
    return feed


def _allowed(shelf: Shelf, wanted: Wanted, rules: FeedRules) -> Bools:
    allowed = may_be_shown(shelf.withheld, shelf.quality, min_quality=rules.min_quality)
    allowed &= shelf.known_since <= wanted.now
    unwanted = [*wanted.history, *wanted.not_again, *wanted.recent]
    if wanted.context is not None:
        unwanted.append(wanted.context)
    allowed[np.array([one for one in unwanted if one < len(shelf)], np.int64)] = False
    if len(wanted.hidden_authors):
        allowed &= ~np.isin(shelf.author, np.array(wanted.hidden_authors))
    return allowed


def _is_fresh(shelf: Shelf, now: int, rules: FeedRules) -> Bools:
    fresh: Bools = shelf.is_stored & (shelf.known_since >= now - rules.fresh_days * DAY_US)
    return fresh


def _is_supported(shelf: Shelf, now: int, rules: FeedRules) -> Bools:
    """Fresh notes of authors who are new, and of key opinion consumers."""
    is_new: Bools = (shelf.author != UNKNOWN) & (shelf.author_since >= now - rules.new_author_days * DAY_US)
    return (is_new | shelf.by_koc) & _is_fresh(shelf, now, rules)


def _ranked(scorer: RecommendScorer, catalogue: Catalogue, wanted: Wanted) -> _List:
    """What the model has for the history, with the note that is being looked at as its last."""
    history = [*wanted.history, *([] if wanted.context is None else [wanted.context])]
    found, score = scorer.score(Histories.of([history]), catalogue)
    order = np.argsort(-score, kind="stable")
    sources = [scorer.source_names[place] for place in found.source[order].tolist()]
    return _List(found.note[order], score[order], sources, is_scored=True)


def _unranked(scorer: RecommendScorer, shelf: Shelf, allowed: Bools, wanted: Wanted, rules: FeedRules) -> _List:
    """Popular notes and fresh ones in turn; those of the wanted category first."""
    here = allowed if wanted.category is None else allowed & (shelf.category == wanted.category)
    fresh = _is_fresh(shelf, wanted.now, rules)
    most = _PER_SOURCE * wanted.n
    popular = [note for among in (here, allowed) for note in scorer.popular[among[scorer.popular]][:most].tolist()]
    newest = [note for among in (here, allowed) for note in _newest(shelf, among & fresh, most)]
    sources: dict[int, str] = {}
    for known, new in itertools.zip_longest(popular, newest):
        for note, source in ((known, POPULAR), (new, FRESH)):
            if note is not None:
                sources.setdefault(note, source)
    score = -np.arange(len(sources), dtype=np.float32)
    return _List(np.array([*sources], np.int64), score, [*sources.values()], is_scored=False)


def _newest(shelf: Shelf, among: Bools, most: int) -> list[int]:
    numbers = np.flatnonzero(among)
    newest: list[int] = numbers[np.argsort(-shelf.known_since[numbers], kind="stable")][:most].tolist()
    return newest


def _place(
    shelf: Shelf, notes: _List, allowed: Bools, wanted: Wanted, rules: FeedRules, *, before: Sequence[FeedNote]
) -> list[FeedNote]:
    """Notes in the places that are left after those ``before``; the supported ones beside them may take theirs."""
    n, supported = wanted.n - len(before), allowed & _is_supported(shelf, wanted.now, rules)
    notes = notes.followed_by(_newest(shelf, supported & ~_among(notes.note, len(shelf)), n))
    if not len(notes.note):
        return []
    shown = [*wanted.recent, *(one.number for one in before)][-rules.arrangement.window :]
    recent = np.array(shown, np.int64)
    choices = Choices(notes.score, shelf.unit_vectors(notes.note), shelf.author[notes.note], supported[notes.note])
    session = Session(wanted.n_shown + len(before), shelf.unit_vectors(recent), shelf.author[recent])
    placed = arrange(choices, session, rules.arrangement, n=n)
    n_pool = min(_PER_SOURCE * n, len(notes.note))
    chance = np.zeros(len(notes.note))
    chance[:n_pool] += rules.explore_share * min(1.0, n / n_pool)
    chance[[one.choice for one in placed]] += 1 - rules.explore_share
    if wanted.explore is not None:
        placed = [Placed(choice, by_support=False) for choice in wanted.explore.permutation(n_pool)[:n].tolist()]
    return [notes.shown(one, float(chance[one.choice])) for one in placed]


def _among(numbers: Ints, n: int) -> Bools:
    found = np.zeros(n, np.bool_)
    found[numbers] = True
    return found

"""What people are shown: notes on what the feed thinks they like, from authors they follow, rarely twice."""

import numpy as np

from training.sample.arrays import Bools, Floats, Ints, rank_in_group
from training.sample.clock import DAY_MS
from training.sample.notes import Notes, join_notes

NOBODY = -1
N_FOLLOWED = 6  # authors remembered of each person, the latest
N_SEEN = 96  # shown notes remembered of each person, the latest
EXPLORE_SHARE = 0.15  # shown whatever the person likes
FOLLOWED_SHARE = 0.3  # shown from a followed author, when that author has notes
FRESH_DAYS = 21.0  # a note's weight falls by e in so many days
OLD_DAYS = 150  # older notes are not shown
LEARN_SHARE = 0.015  # of the distance to true interests that the feed learns in a day


class Feed:
    """The notes that one block's people can see, and what the feed remembers of those people."""

    def __init__(self, notes: Notes, *, interests: Floats) -> None:
        self.notes = notes
        self._profile = interests.copy()
        self._seen = np.full((len(interests), N_SEEN), -1)
        self._n_seen = np.zeros(len(interests), dtype=np.int64)
        self._followed = np.full((len(interests), N_FOLLOWED), NOBODY)
        self._n_followed = np.zeros(len(interests), dtype=np.int64)

    def add(self, notes: Notes) -> None:
        """Take in notes that were just published; they are shown from the next day on."""
        self.notes = join_notes([self.notes, notes])

    def open_day(self, day: int, *, interests: Floats) -> None:
        """Weigh the notes published before ``day`` and learn a little of what people like now."""
        self._profile += LEARN_SHARE * (interests - self._profile)
        self._cumulative_profile = np.cumsum(self._profile, axis=1)
        age_days = day - self.notes.published_ms / DAY_MS
        visible = np.flatnonzero((age_days > 0) & (age_days < OLD_DAYS))
        self._by_topic = visible[np.argsort(self.notes.topic[visible], kind="stable")]
        weight = np.exp(self.notes.pull - age_days / FRESH_DAYS)[self._by_topic]
        self._cumulative = np.concatenate([[0.0], np.cumsum(weight)])
        n_topics = interests.shape[1]
        self._topic_edges = np.searchsorted(self.notes.topic[self._by_topic], np.arange(n_topics + 1))
        self._by_author = visible[np.lexsort((self.notes.published_ms[visible], self.notes.author[visible]))]
        self._authors = self.notes.author[self._by_author]

    def choose(self, rng: np.random.Generator, people: Ints) -> Ints:
        """A row of ``notes`` for each entry of ``people`` (equal ones side by side), -1 for nothing new to show."""
        if len(self._by_topic) == 0:
            return np.full(len(people), -1)
        rows = self._from_topics(rng, people)
        followed = self._from_followed(rng, people)
        rows = np.where((followed >= 0) & (rng.random(len(people)) < FOLLOWED_SHARE), followed, rows)
        return np.where(self._is_new(people, rows), rows, -1)

    def remember(self, people: Ints, rows: Ints) -> None:
        """Note what was shown, so that it is not shown again soon."""
        self._seen[people, (self._n_seen[people] + rank_in_group(people)) % N_SEEN] = rows
        self._n_seen += np.bincount(people, minlength=len(self._n_seen))

    def follow(self, people: Ints, authors: Ints) -> None:
        """Note who follows whom; ``people`` has equal values side by side."""
        self._followed[people, (self._n_followed[people] + rank_in_group(people)) % N_FOLLOWED] = authors
        self._n_followed += np.bincount(people, minlength=len(self._n_followed))

    def _from_topics(self, rng: np.random.Generator, people: Ints) -> Ints:
        cumulative = self._cumulative_profile[people]
        topic = (cumulative < (rng.random(len(people)) * cumulative[:, -1])[:, None]).sum(axis=1)
        low, high = self._cumulative[self._topic_edges[topic]], self._cumulative[self._topic_edges[topic + 1]]
        explore = (rng.random(len(people)) < EXPLORE_SHARE) | (high <= low)
        low, high = np.where(explore, 0.0, low), np.where(explore, self._cumulative[-1], high)
        place = np.searchsorted(self._cumulative, low + rng.random(len(people)) * (high - low), side="right") - 1
        return np.asarray(self._by_topic[np.minimum(place, len(self._by_topic) - 1)])

    def _from_followed(self, rng: np.random.Generator, people: Ints) -> Ints:
        author = self._followed[people, rng.integers(0, N_FOLLOWED, len(people))]
        low, high = np.searchsorted(self._authors, author), np.searchsorted(self._authors, author, side="right")
        latest = np.maximum(high - rng.geometric(0.4, len(people)), low)
        row = self._by_author[np.minimum(latest, len(self._authors) - 1)]
        return np.where((author != NOBODY) & (high > low), row, -1)

    def _is_new(self, people: Ints, rows: Ints) -> Bools:
        """Whether each row was neither remembered as shown nor chosen already for the same person."""
        first = np.zeros(len(rows), dtype=np.bool_)
        first[np.unique(people * len(self.notes.number) + rows, return_index=True)[1]] = True
        return np.asarray(first & (self._seen[people] != rows[:, None]).all(axis=1))

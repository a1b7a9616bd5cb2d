"""The notes of the sample community before they have words: topic, hidden quality, hidden harms, pull."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from training.sample.arrays import Bools, Floats, Ints, logistic
from training.sample.population import People

HARMS = ("spam", "clickbait", "low_information", "abuse")
# P(harm) of a note by its author's habit; rows follow HABITS, columns HARMS
HARM_SHARES = np.array(
    [
        [0.004, 0.020, 0.050, 0.004],
        [0.650, 0.100, 0.050, 0.010],
        [0.030, 0.600, 0.080, 0.010],
        [0.010, 0.040, 0.600, 0.020],
        [0.010, 0.040, 0.080, 0.450],
    ]
)
QUALITY_COST = np.array([2.0, 1.3, 2.4, 1.6])  # in logits of quality, by harm
APPEAL_GAIN = np.array([-0.2, 0.9, -0.4, 0.0])  # in logits of a click, by harm
LABELLED_SHARE = 0.6
LABEL_NOISE = 0.005
SPLITS = ("train", "dev", "test")
SPLIT_SHARES = (0.8, 0.1, 0.1)


@dataclass(frozen=True)
class Notes:
    """One row a note; times in milliseconds from the log's start (negative before it)."""

    number: Ints
    author: Ints  # number of the user
    topic: Ints
    quality: Floats  # 0..1, hidden
    appeal: Floats  # hidden, logits of a click
    pull: Floats  # hidden, log weight in the feed
    harms: Bools  # (n_notes, len(HARMS)), hidden
    n_images: Ints
    published_ms: Ints

    def take(self, rows: Ints | slice) -> "Notes":
        return Notes(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


@dataclass(frozen=True)
class Labels:
    """Reviewers' labels: parallel arrays; a (note, label) that nobody judged has no row."""

    note: Ints  # number of the note
    label: Ints  # index into HARMS
    value: Floats
    split: Ints  # index into SPLITS
    decided_ms: Ints


def join_notes(parts: Sequence[Notes]) -> Notes:
    """The rows of ``parts``, in order."""
    return Notes(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Notes)})


def draft_notes(
    rng: np.random.Generator, people: People, *, authors: Ints, published_ms: Ints, first_number: int
) -> Notes:
    """One note for each entry of ``authors`` (rows of ``people``), about what that author likes."""
    n_notes = len(authors)
    cumulative = np.cumsum(people.interests[authors] ** 1.5, axis=1)
    topic = (cumulative < (rng.random(n_notes) * cumulative[:, -1])[:, None]).sum(axis=1)
    harms = rng.random((n_notes, len(HARMS))) < HARM_SHARES[people.habit[authors]]
    quality = logistic(0.4 + people.skill[authors] + 0.8 * rng.standard_normal(n_notes) - harms @ QUALITY_COST)
    return Notes(
        number=first_number + np.arange(n_notes),
        author=people.number[authors],
        topic=topic,
        quality=quality,
        appeal=0.6 * rng.standard_normal(n_notes) + (quality - 0.5) + harms @ APPEAL_GAIN,
        pull=rng.standard_normal(n_notes) + 1.5 * (quality - 0.5) + 0.4 * people.tier[authors],
        harms=harms,
        n_images=1 + rng.binomial(8, 0.2 + 0.5 * quality),
        published_ms=published_ms,
    )


def judge_notes(rng: np.random.Generator, notes: Notes, *, until_ms: int) -> Labels:
    """Labels that reviewers gave before ``until_ms``: each note for some labels, with a few mistakes."""
    n_notes = len(notes.number)
    judged = rng.random((n_notes, len(HARMS))) < LABELLED_SHARE
    value = (notes.harms ^ (rng.random(judged.shape) < LABEL_NOISE)).astype(np.float64)
    split = rng.choice(len(SPLITS), size=n_notes, p=SPLIT_SHARES)
    decided_ms = notes.published_ms + (rng.exponential(36.0, n_notes) * 3_600_000).astype(np.int64)
    row, label = np.nonzero(judged & (decided_ms < until_ms)[:, None])
    return Labels(
        note=notes.number[row], label=label, value=value[row, label], split=split[row], decided_ms=decided_ms[row]
    )

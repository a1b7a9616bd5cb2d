"""What reviewers decided, as labels to learn from: one value for each note and label, and what it counts."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final, NamedTuple

from serving.store.reviews import Origin, Review

MOST: Final = 20.0
"""What one note counts at most: a note that had one chance in a hundred would else outweigh a hundred others."""


class ReviewedLabel(NamedTuple):
    """A row of ``note_labels``."""

    note_id: str
    label: str
    value: float
    weight: float
    source: str
    decided_at: int


def labels_of(reviews: Sequence[Review]) -> list[ReviewedLabel]:
    """The labels of one revision of a note, from all reviews of it, in the order of their decisions.

    A decision on an appeal takes the place of those before it. What remains counts alike: the value is the mean, and
    the weight |2 mean - 1| / propensity, at most ``MOST``; a label that reviewers are evenly divided on is unknown.
    Notes that came by a report or an appeal alone count 1: nobody knows what their chance was.
    """
    last_appeal = max((at for at, one in enumerate(reviews) if one.origin is Origin.APPEAL), default=0)
    valid = reviews[last_appeal:]
    values: dict[str, list[int]] = defaultdict(list)
    for review in valid:
        for label, value in (review.judgement.labels if review.judgement else {}).items():
            values[label].append(value)
    last, heaviest = valid[-1], max(map(_weight, reviews))
    found = []
    for label, own in values.items():
        mean = sum(own) / len(own)
        if agreed := abs(2 * mean - 1):
            source = f"review/model-{last.model_version}/policy-{last.policy_version[:12]}"
            found.append(ReviewedLabel(last.note_id, label, mean, agreed * heaviest, source, last.decided_at or 0))
    return found


def _weight(review: Review) -> float:
    return min(MOST, 1 / review.propensity) if review.sampled and review.propensity else 1.0

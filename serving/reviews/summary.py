"""How reviewing goes: what waits, who decided how much, and how far they agree."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from features.state import DAY_US
from serving.instants import Clock
from serving.reviews.agreement import Agreement, agreement
from serving.store.reviewers import ReviewerStore
from serving.store.reviews import Backlog, Outcome, ReviewStore

_WEEK_US: Final = 7 * DAY_US


class ReviewSummary(NamedTuple):
    """What waits now, what each reviewer decided in a stretch of time, by outcome, and agreement in it."""

    since: int
    before: int
    backlog: Sequence[Backlog]
    decided: Mapping[str, Mapping[Outcome, int]]
    agreement: Agreement


class Summaries:
    """Sums up reviews."""

    def __init__(self, reviews: ReviewStore, reviewers: ReviewerStore, *, clock: Clock) -> None:
        self._reviews = reviews
        self._reviewers = reviewers
        self._clock = clock

    async def of(self, *, since: int | None, before: int | None) -> ReviewSummary:
        """The summary of a stretch of time, reviewers by name: by default of the week that ends now."""
        before = self._clock() if before is None else before
        since = before - _WEEK_US if since is None else since
        names = {one.reviewer_id: one.name for one in await self._reviewers.all()}
        decided: dict[str, dict[Outcome, int]] = defaultdict(dict)
        for (reviewer_id, outcome), n in (await self._reviews.n_decided(since=since, before=before)).items():
            decided[names.get(reviewer_id, reviewer_id)][outcome] = n
        pairs = await self._reviews.pairs(since=since, before=before)
        verdicts = [(one.first.verdict or "", one.second.verdict or "") for one in pairs]
        backlog = await self._reviews.backlog()
        return ReviewSummary(since, before, backlog, dict(sorted(decided.items())), agreement(verdicts))

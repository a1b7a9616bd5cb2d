"""Lists of users by tier and stage, with their risk: whom a campaign for a segment may contact."""

from collections.abc import AsyncIterator, Sequence
from typing import Final, NamedTuple

from models.policy.words import Stage, Tier
from serving.contacts import Contacts, Withheld
from serving.store.kpis import KpiStore, UserSegment
from serving.store.scores import ScoreStore

_EXPORTED: Final = 1_000


class Member(NamedTuple):
    """A user of a segment, their latest churn probability at the longest horizon, and why they may not be contacted."""

    segment: UserSegment
    probability: float | None
    withheld: Sequence[Withheld]


class Members:
    """Users by the tier and stage of the last rollup, in the order of their ids: those who may be contacted, and with
    ``with_withheld`` the others too.
    """

    def __init__(self, kpis: KpiStore, scores: ScoreStore, contacts: Contacts) -> None:
        self._kpis = kpis
        self._scores = scores
        self._contacts = contacts

    async def page(
        self, tier: Tier | None, stage: Stage | None, *, with_withheld: bool, after: str, limit: int
    ) -> tuple[list[Member], str]:
        """Those among the next ``limit`` users of the segment, and the id to go on after; empty at the end."""
        segments = await self._kpis.users(tier=tier, stage=stage, after=after, limit=limit + 1)
        looked_at = segments[:limit]
        user_ids = [one.user_id for one in looked_at]
        run = await self._scores.newest_run()
        horizon_days = max(run.thresholds) if run else 0
        known = await self._scores.latest(user_ids, horizon_days=horizon_days)
        withheld = await self._contacts.withheld(user_ids)
        members = [Member(one, known.get(one.user_id), withheld[one.user_id]) for one in looked_at]
        chosen = [one for one in members if with_withheld or not one.withheld]
        return chosen, looked_at[-1].user_id if len(segments) > limit else ""

    async def everyone(
        self, tier: Tier | None, stage: Stage | None, *, with_withheld: bool
    ) -> AsyncIterator[Sequence[Member]]:
        """All of them, part by part."""
        after, is_first = "", True
        while after or is_first:
            is_first = False
            members, after = await self.page(tier, stage, with_withheld=with_withheld, after=after, limit=_EXPORTED)
            yield members

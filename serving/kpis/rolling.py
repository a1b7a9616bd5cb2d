"""Keeps the KPIs rolled up, and answers what they are."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from features.state import UserStates, community_day
from features.user import Seen
from models.churn.scorer import ChurnScorer
from models.policy.evaluation import PolicyEvaluator
from models.policy.user_facts import ChurnKnown
from models.policy.words import Stage, Tier
from serving.churn import CHURN
from serving.errors import FieldProblem, InvalidError
from serving.folding import Folder
from serving.instants import SECOND_US, Clock
from serving.kpis.rollup import N_DAYS, Ints, Rollup
from serving.policies.live import Policies
from serving.slots import Slots
from serving.store.journal import Journal
from serving.store.kpis import Cohort, DayCounts, DaySums, KpiStore, Rolled, UserSegment
from serving.workers import Workers

ALL: Final = "all"
SEGMENTS: Final = (ALL, *(f"tier:{one}" for one in Tier), *(f"stage:{one}" for one in Stage))
"""Everyone, and those who are in a tier or a stage now."""
_BLOCK: Final = 1_000


class Kpis(NamedTuple):
    """What a stretch of days came to, for a segment; ``as_of`` is None before anything was rolled up."""

    as_of: int | None
    segment: str
    days: Sequence[DaySums]
    cohorts: Sequence[Cohort]
    counts: Sequence[DayCounts]

    @property
    def latest(self) -> Mapping[str, int]:
        """What was counted on the last day; nothing where nothing was."""
        return self.counts[-1].counts if self.counts else {}


class Rolling:
    """Rolls everyone's states up, every so often, by whichever server comes first."""

    def __init__(
        self,
        store: KpiStore,
        journal: Journal,
        folder: Folder,
        slots: Slots,
        policies: Policies,
        workers: Workers,
        *,
        every_s: float,
        clock: Clock,
    ) -> None:
        self._store = store
        self._journal = journal
        self._folder = folder
        self._slots = slots
        self._policies = policies
        self._workers = workers
        self._every_us = round(every_s * SECOND_US)
        self._clock = clock
        self._is_behind = False

    async def follow(self) -> None:
        """Roll up, if that was not begun lately; RuntimeError from a failed rollup on until the next succeeds."""
        now = self._clock()
        if await self._store.begin(now, unless_since=now - self._every_us + 1):
            self._is_behind = True
            await self.roll(now)
            self._is_behind = False
        elif self._is_behind:
            raise RuntimeError("the last rollup failed, and the next is not due yet")

    async def roll(self, as_of: int) -> None:
        """Roll everyone up as of an instant."""
        champion = self._slots.champion(CHURN)
        scorer, policy = champion.scorer if champion else None, self._policies.active
        rollup, n_users = Rollup(as_of, len(SEGMENTS)), np.zeros(len(SEGMENTS), np.int64)
        by_tenth = np.zeros(10, np.int64)
        after, day, flows = "", community_day(as_of - 1), Counter[str]()
        while user_ids := await self._journal.users(after, limit=_BLOCK):
            states = await self._folder.states_at(user_ids, as_of)
            segments, tenths = await self._workers.run(len(states), _add, rollup, states, scorer, policy, as_of)
            by_tenth += tenths
            n_users += segments.sum(axis=1)
            flows += await self._store.move(day, _segments_of(user_ids, segments))
            after = user_ids[-1]
        counts = dict(zip(SEGMENTS, n_users.tolist(), strict=True))
        notes = await self._store.notes()
        counts |= {"notes": notes.n_notes}
        for kind, own in (("quality", notes.by_tenth), ("decision", notes.by_decision), ("flagged", notes.flagged)):
            counts |= {f"{kind}:{name}": n for name, n in own.items()}
        counts |= {f"churn:{tenth}": n for tenth, n in enumerate(by_tenth.tolist()) if n}
        counts |= {f"flow:{name}": n for name, n in flows.items()}
        rolled = Rolled(as_of, days_of(rollup), cohorts_of(rollup), counts)
        await self._store.put(rolled, day=day)

    async def of(self, *, since: int | None, before: int | None, segment: str) -> Kpis:
        """The KPIs of a segment, of the days that begin in a stretch of time: by default of the last 30, and today.

        InvalidError for a segment that is none, or a stretch of more days than are kept.
        """
        if segment not in SEGMENTS:
            detail = f"one of {', '.join(SEGMENTS)}"
            raise InvalidError(detail, errors=[FieldProblem("/query/segment", "unknown_segment", detail)])
        last = community_day((self._clock() if before is None else before) - 1)
        first = last - 30 if since is None else community_day(since)
        if last - first >= N_DAYS:
            detail = f"at most {N_DAYS} days"
            raise InvalidError(detail, errors=[FieldProblem("/query/since", "too_many_days", detail)])
        stretch = {"since": first, "before": last + 1}
        return Kpis(
            await self._store.rolled_at(),
            segment,
            await self._store.days(segment, **stretch),
            await self._store.cohorts(),
            await self._store.counts(**stretch),
        )


def _add(
    rollup: Rollup, states: UserStates, scorer: ChurnScorer | None, policy: PolicyEvaluator, as_of: int
) -> tuple[npt.NDArray[np.bool_], Ints]:
    """Add users to a rollup; which of ``SEGMENTS`` each is in, bool (n_segments, n_users), and how many lie in each
    tenth of the churn probability at the longest horizon, int64 (10,).
    """
    seen = Seen(states, as_of)
    churn, tenths = None, np.zeros(10, np.int64)
    if scorer:
        probability = scorer.score_seen(seen).probability[:, -1]
        churn = ChurnKnown(probability, scorer.settings.thresholds[-1])
        tenths, _ = np.histogram(probability[np.isfinite(probability)], 10, (0, 1))
    outcomes = policy.users(seen, churn)
    tiers, stages = policy.tier_codes[outcomes.tier], policy.stage_codes[outcomes.stage]
    segments = np.stack(
        [
            np.ones(len(states), np.bool_),
            *(tiers == code for code in range(len(Tier))),
            *(stages == code for code in range(len(Stage))),
        ]
    )
    rollup.add(states, segments)
    return np.asarray(segments, np.bool_), np.asarray(tenths, np.int64)


def _segments_of(user_ids: Sequence[str], segments: npt.NDArray[np.bool_]) -> list[UserSegment]:
    tiers, stages = segments[1 : 1 + len(Tier)].argmax(axis=0), segments[1 + len(Tier) :].argmax(axis=0)
    by_place, in_order = list(Tier), list(Stage)
    pairs = zip(user_ids, tiers.tolist(), stages.tolist(), strict=True)
    return [UserSegment(user_id, by_place[tier], in_order[stage]) for user_id, tier, stage in pairs]


def days_of(rollup: Rollup) -> list[DaySums]:
    """The days from the first on which anyone was active."""
    some = np.flatnonzero(rollup.days["monthly_active_users"][0])
    places = range(int(some[0]), N_DAYS) if len(some) else ()
    columns = {name: own.tolist() for name, own in rollup.days.items()}
    return [
        DaySums(segment, rollup.first_day + place, {name: own[row][place] for name, own in columns.items()})
        for row, segment in enumerate(SEGMENTS)
        for place in places
    ]


def cohorts_of(rollup: Rollup) -> list[Cohort]:
    """The cohorts that anyone is in."""
    n_weeks = len(rollup.cohorts)
    return [
        Cohort(rollup.first_week + came, own[: n_weeks - came])
        for came, own in enumerate(rollup.cohorts.tolist())
        if any(own)
    ]


def values_of(sums: Mapping[str, int]) -> dict[str, float | None]:
    """A day's KPIs of its sums; None where there is nothing to divide by."""

    def ratio(over: float, under: str) -> float | None:
        return over / sums[under] if sums[under] else None

    return {
        "active_users": sums["active_users"],
        "weekly_active_users": sums["weekly_active_users"],
        "monthly_active_users": sums["monthly_active_users"],
        "new_users": sums["new_users"],
        "use_minutes": ratio(sums["read_seconds"] / 1000 / 60, "active_users"),
        "engagement_rate": ratio(sums["engagements"], "reads"),
        "click_rate": ratio(sums["clicks"], "impressions"),
        "conversion": ratio(sums["buyers"], "active_users"),
        "publishes": sums["publishes"],
        "spent": sums["spent"] / 1000,
    }

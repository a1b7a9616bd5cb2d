"""What actions are worth: users for whom they were done, beside users like them for whom they were not.

Everyone counts in the arm they were drawn for, whether the action reached them or not (intention to treat): so the draw
alone tells the arms apart. The difference of two means has a 95% interval by Welch's standard error; a split that is
too unlike the one that was drawn for (chi-squared, p < 0.001: Fabijan et al. 2019, "Diagnosing sample ratio mismatch in
online controlled experiments") says that something else decides who is counted, and nothing is concluded.
"""

import math
from collections.abc import Sequence
from enum import StrEnum
from statistics import NormalDist
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from features.state import DAY_US
from serving.assigning import Shares
from serving.instants import Clock
from serving.store.assignments import Arm, AssignmentStore, Outcomes

MIN_USERS: Final = 100
"""Fewer in either arm tell nothing."""
MAX_USERS: Final = 200_000
_Z: Final = NormalDist().inv_cdf(0.975)
_MISMATCH: Final = 0.001


class Verdict(StrEnum):
    """What the interval says of an action: it does good, it does harm, or nobody can tell yet."""

    HELPS = "helps"
    HARMS = "harms"
    CANT_TELL = "cant_tell_yet"


class Effect(NamedTuple):
    """A mean per user in either arm, and their difference with its interval."""

    outcome: str
    treated: float | None
    held_out: float | None
    difference: float | None
    low: float | None
    high: float | None
    verdict: Verdict


class Uplift(NamedTuple):
    """An action's: how many users are in each arm, whether that is as it was drawn (``p_split``), and the effects."""

    action: str
    n_treated: int
    n_held_out: int
    p_split: float | None
    is_split_right: bool
    effects: Sequence[Effect]


class Uplifts:
    """Reports what actions are worth."""

    def __init__(self, store: AssignmentStore, *, shares: Shares, clock: Clock) -> None:
        self._store = store
        self._shares = shares
        self._clock = clock

    async def of(self, *, since: int | None, before: int | None, window_days: int) -> list[Uplift]:
        """Each action's, over users to whom it was assigned in a stretch of time, the last 90 days if left out; only
        those count whose window of days is over.
        """
        window_us, now = window_days * DAY_US, self._clock()
        until = min(now - window_us, now if before is None else before)
        start = now - 90 * DAY_US if since is None else since
        actions = await self._store.actions(since=start, before=until)
        held_out = self._shares.holdout + (1 - self._shares.holdout) * self._shares.control
        found = []
        for action in actions:
            outcomes = await self._store.outcomes(
                action, since=start, before=until, window_us=window_us, limit=MAX_USERS
            )
            found.append(uplift(action, outcomes, held_out_share=held_out))
        return found


def uplift(action: str, outcomes: Sequence[Outcomes], *, held_out_share: float) -> Uplift:
    """An action's uplift over users' outcomes; ``held_out_share`` of them should have been held out."""
    is_treated = np.array([one.arm is Arm.TREATMENT for one in outcomes], np.bool_)
    n_treated = int(is_treated.sum())
    n_held_out = len(outcomes) - n_treated
    p_split = _p_split(n_treated, n_held_out, held_out_share)
    is_right = p_split is None or p_split >= _MISMATCH
    columns = {
        "retention": [one.n_active_days > 0 for one in outcomes],
        "active_days": [one.n_active_days for one in outcomes],
        "engagements": [one.n_engagements for one in outcomes],
        "purchases": [one.n_purchases for one in outcomes],
        "spent": [one.spent for one in outcomes],
    }
    effects = [
        _effect(name, np.asarray(own, np.float64), is_treated, is_right=is_right) for name, own in columns.items()
    ]
    return Uplift(action, n_treated, n_held_out, p_split, is_right, effects)


def _effect(name: str, values: npt.NDArray[np.float64], is_treated: npt.NDArray[np.bool_], *, is_right: bool) -> Effect:
    treated, held_out = values[is_treated], values[~is_treated]
    ours, theirs = (float(own.mean()) if len(own) else None for own in (treated, held_out))
    if min(len(treated), len(held_out)) < MIN_USERS:
        return Effect(name, ours, theirs, None, None, None, Verdict.CANT_TELL)
    difference = float(treated.mean() - held_out.mean())
    error = math.sqrt(sum(float(own.var(ddof=1)) / len(own) for own in (treated, held_out)))
    low, high = difference - _Z * error, difference + _Z * error
    said = Verdict.HELPS if low > 0 else Verdict.HARMS if high < 0 else Verdict.CANT_TELL
    return Effect(name, ours, theirs, difference, low, high, said if is_right else Verdict.CANT_TELL)


def _p_split(n_treated: int, n_held_out: int, held_out_share: float) -> float | None:
    """The p-value of the split under the draw: chi-squared with one degree of freedom."""
    n = n_treated + n_held_out
    if not n or not 0 < held_out_share < 1:
        return None
    expected = n * held_out_share
    chi2 = (n_held_out - expected) ** 2 / (expected * (1 - held_out_share))
    return math.erfc(math.sqrt(chi2 / 2))

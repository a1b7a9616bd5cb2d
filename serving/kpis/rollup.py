"""Rolls up users' states: what everyone did, day by day and segment by segment, and who came back.

A state holds integer tallies a day, so the sums are exact, and follow from the journal alone. A day is the
community's; a week begins on Monday.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from features.schema import IMPRESSION, KIND_CODES
from features.state import NEVER, UserStates, community_day, community_days

Ints = npt.NDArray[np.int64]

N_DAYS: Final = 400
WEEK: Final = 7
MONTH: Final = 30
_ENGAGEMENTS: Final = [KIND_CODES[kind] for kind in ("like", "collect", "comment", "share", "follow")]
_COUNTED: Final = {
    "reads": [KIND_CODES["read"]],
    "engagements": _ENGAGEMENTS,
    "impressions": [IMPRESSION],
    "clicks": [KIND_CODES["click"]],
    "publishes": [KIND_CODES["publish"]],
}
_SUMMED: Final = {"read_seconds": KIND_CODES["read"], "spent": KIND_CODES["purchase"]}
MEASURES: Final = (
    "active_users", "weekly_active_users", "monthly_active_users", "new_users", "buyers", *_COUNTED, *_SUMMED,
)  # fmt: skip


class Rollup:
    """Sums over users for ``N_DAYS`` days up to the one that ``as_of`` lies in.

    ``days`` holds each measure by segment and day, int64 (n_segments, ``N_DAYS``), sums of values in thousandths;
    ``cohorts`` how many users whose first week is this were active how many weeks later, int64 (n_weeks, n_weeks).
    """

    def __init__(self, as_of: int, n_segments: int) -> None:
        self.first_day = community_day(as_of - 1) - N_DAYS + 1
        self.days: dict[str, Ints] = {name: np.zeros((n_segments, N_DAYS), np.int64) for name in MEASURES}
        self.first_week = int(week_of(self.first_day)) + 1
        n_weeks = int(week_of(self.first_day + N_DAYS - 1)) - self.first_week + 1
        self.cohorts: Ints = np.zeros((n_weeks, n_weeks), np.int64)

    def add(self, states: UserStates, segments: npt.NDArray[np.bool_]) -> None:
        """Add users, of which ``segments`` (n_segments, n_users) says which they are in."""
        rows, users = states.rows, states.row_user
        day = rows["day"].astype(np.int64) - self.first_day
        for name, kinds in _COUNTED.items():
            of_kind = np.isin(rows["kind"], kinds)
            self._sum(name, users[of_kind], day[of_kind], rows["n"][of_kind], segments)
        for name, kind in _SUMMED.items():
            of_kind = rows["kind"] == kind
            self._sum(name, users[of_kind], day[of_kind], rows["value"][of_kind], segments)
        bought = rows["kind"] == KIND_CODES["purchase"]
        self._count("buyers", _matrix(len(states), users[bought], day[bought]), segments)
        chosen = rows["kind"] != IMPRESSION
        active = _matrix(len(states), users[chosen], day[chosen])
        self._count("active_users", active, segments)
        self._count("weekly_active_users", _within(active, WEEK), segments)
        self._count("monthly_active_users", _within(active, MONTH), segments)
        first = np.where(states.first_at == NEVER, -MONTH - 1, community_days(states.first_at) - self.first_day)
        self._count("new_users", _matrix(len(states), np.arange(len(states)), first), segments)
        self._add_cohorts(states, users[chosen], rows["day"][chosen].astype(np.int64))

    def _sum(
        self, name: str, users: Ints, day: Ints, amounts: npt.NDArray[np.integer], segments: npt.NDArray[np.bool_]
    ) -> None:
        inside = (day >= 0) & (day < N_DAYS)
        users, day, amounts = users[inside], day[inside], amounts[inside]
        for place, members in enumerate(segments):
            mine = members[users]
            self.days[name][place] += np.bincount(day[mine], amounts[mine], N_DAYS).astype(np.int64)

    def _count(self, name: str, matrix: npt.NDArray[np.bool_], segments: npt.NDArray[np.bool_]) -> None:
        for place, members in enumerate(segments):
            self.days[name][place] += matrix[members, MONTH - 1 :].sum(axis=0)

    def _add_cohorts(self, states: UserStates, users: Ints, day: Ints) -> None:
        known = states.first_at != NEVER
        cohort = np.where(known, week_of(community_days(states.first_at)), -1) - self.first_week
        pairs = np.unique(np.stack([users, week_of(day) - self.first_week]), axis=1)
        came, week = cohort[pairs[0]], pairs[1]
        inside = (came >= 0) & (week >= came) & (week < len(self.cohorts))
        np.add.at(self.cohorts, (came[inside], (week - came)[inside]), 1)


def week_of(day: npt.ArrayLike) -> Ints:
    """The number of a day's week; the first day of all was a Thursday."""
    return (np.asarray(day, np.int64) + 3) // WEEK


def first_day_of(week: int) -> int:
    """The Monday of a week."""
    return week * WEEK - 3


def _matrix(n_users: int, users: Ints, day: Ints) -> npt.NDArray[np.bool_]:
    """Whether there is anything of each user on each day, of ``N_DAYS`` and as many before as a month looks back."""
    made = np.zeros((n_users, MONTH - 1 + N_DAYS), np.bool_)
    inside = (day > -MONTH) & (day < N_DAYS)
    made[users[inside], day[inside] + MONTH - 1] = True
    return made


def _within(active: npt.NDArray[np.bool_], n_days: int) -> npt.NDArray[np.bool_]:
    """Whether each user was active on any of the ``n_days`` that end with each day."""
    total = np.pad(np.cumsum(active, axis=1, dtype=np.int32), ((0, 0), (n_days, 0)))
    return np.asarray(total[:, n_days:] > total[:, :-n_days], np.bool_)

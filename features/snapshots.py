"""Everyone's state at chosen instants, by one SQL aggregate over the event log.

Only the view that turns instants into integers is DuckDB's own; the aggregate after it is plain SQL that any engine
runs, so the same text can move to a distributed engine when one machine is outgrown.
"""
# ruff: noqa: S608 (the SQL is made of constants and integers)

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from features.schema import EVENT_KINDS, IMPRESSION, OTHER
from features.sources import Dataset
from features.state import (
    COMMUNITY_OFFSET_US,
    DAY_US,
    NEVER,
    RETAINED_DAYS,
    TALLY,
    UNKNOWN_FOLLOWERS,
    UserStates,
    heads_of,
)

_ACTIVITY: Final = f"kind <> {IMPRESSION}"


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """Users at ``as_of``, sorted by id: their states from events before it, and what came after.

    ``users`` are 60 bits of a hash of each id: a user has the same number in every snapshot of every log. ``next_at``
    (microseconds) is each user's first activity at or after ``as_of``; ``NEVER`` where the log holds none. Both are
    int64 of shape (n_users,).
    """

    as_of: int
    users: npt.NDArray[np.int64]
    user_ids: npt.NDArray[np.object_]
    states: UserStates
    next_at: npt.NDArray[np.int64]


class EventLog:
    """A dataset's events, tallied once for a set of instants; DataError without an ``events`` table."""

    def __init__(self, dataset: Dataset, instants: Sequence[int]) -> None:
        dataset.require("events")
        self.instants = sorted(set(instants))
        self._connection = dataset.connection.cursor()  # with temporary tables of its own: logs don't share them
        for statement in (_INTEGERS, _PEOPLE, _tallies(self.instants)):
            self._connection.execute(statement)

    def snapshots(self, *, active_days: int | None = None) -> Iterator[Snapshot]:
        """One snapshot per instant, in time order; with ``active_days``, only of users active that lately."""
        for segment, as_of in enumerate(self.instants):
            yield self._snapshot(segment, as_of, as_of - active_days * DAY_US if active_days else NEVER)

    def kind_counts(self, *, before: int) -> dict[int, int]:
        """Events per kind code before one of the log's instants."""
        seen = f"segment <= {self.instants.index(before)}"
        sql = f"SELECT kind, CAST(sum(n) AS BIGINT) FROM tallies WHERE {seen} GROUP BY 1"
        return dict(self._connection.execute(sql).fetchall())

    def _snapshot(self, segment: int, as_of: int, active_since: int) -> Snapshot:
        self._connection.execute(_heads(segment, active_since))
        heads = self._connection.execute("SELECT * FROM heads ORDER BY user_index").fetchnumpy()
        rows = self._connection.execute(_rows(segment)).fetchnumpy()
        tallies = np.zeros(len(rows["day"]), TALLY)
        for name in ("day", "kind", "n", "value"):
            tallies[name] = rows[name]
        row_user = np.searchsorted(heads["user_index"], rows["user_index"])
        states = UserStates(**heads_of(heads), rows=tallies, row_user=row_user)
        return Snapshot(
            as_of,
            np.asarray(heads["user_hash"], np.int64),
            np.asarray(heads["user_id"]),
            states,
            np.asarray(heads["next_at"], np.int64),
        )


def log_span(dataset: Dataset) -> tuple[int, int]:
    """The log's first event, and its end: the start of the UTC day after its last event, or now if that is earlier."""
    dataset.require("events")
    sql = "SELECT epoch_us(min(occurred_at)), epoch_us(max(occurred_at)) FROM events"
    first, last = dataset.connection.execute(sql).fetchall()[0]
    return first, min((last // DAY_US + 1) * DAY_US, dataset.now)


_INTEGERS: Final = f"""
CREATE OR REPLACE TEMP VIEW integers AS
SELECT user_id, instant, kind, value,
    CAST((instant + {COMMUNITY_OFFSET_US}) // {DAY_US} AS INTEGER) AS day
FROM (SELECT user_id, epoch_us(occurred_at) AS instant,
        CAST(coalesce(list_position({list(EVENT_KINDS)}, event) - 1, {OTHER}) AS INTEGER) AS kind,
        CAST(floor(coalesce(value, 0) * 1000 + 0.5) AS BIGINT) AS value
    FROM events)
"""

_PEOPLE: Final = f"""
CREATE OR REPLACE TEMP TABLE people AS
SELECT CAST(row_number() OVER (ORDER BY user_id) - 1 AS INTEGER) AS user_index, user_id,
    CAST('0x' || substr(md5(user_id), 1, 15) AS BIGINT) AS user_hash,
    epoch_us(registered_at) AS registered_at, coalesce(n_followers, {UNKNOWN_FOLLOWERS}) AS n_followers,
    coalesce(is_minor, FALSE) AS is_minor, coalesce(personalisation_opt_out, FALSE) AS personalisation_opt_out
FROM (SELECT DISTINCT user_id FROM events) LEFT JOIN users USING (user_id)
"""


def _tallies(instants: Sequence[int]) -> str:
    """The aggregate: a tally per user, day, kind and segment, which is the number of instants at or before it."""
    segment = " ".join(f"WHEN instant < {instant} THEN {place}" for place, instant in enumerate(instants))
    return f"""
CREATE OR REPLACE TEMP TABLE tallies AS
SELECT user_index, day, kind, segment, count(*) AS n, sum(value) AS value,
    min(instant) AS first_at, max(instant) AS last_at
FROM (SELECT *, CASE {segment} ELSE {len(instants)} END AS segment FROM integers) JOIN people USING (user_id)
GROUP BY user_index, day, kind, segment
"""


def _heads(segment: int, active_since: int) -> str:
    """Each user's instants: of the events before the segment's end, and the first activity after it."""
    seen = f"segment <= {segment}"
    at = f"min(first_at) FILTER ({seen} AND {_ACTIVITY})", f"max(last_at) FILTER ({seen} AND {_ACTIVITY})"
    never = f"CAST({NEVER} AS BIGINT)"
    return f"""
CREATE OR REPLACE TEMP TABLE heads AS
SELECT user_index, user_id, user_hash, coalesce(first_at, {never}) AS first_at, coalesce(last_at, {never}) AS last_at,
    latest_at, coalesce(registered_at, {never}) AS registered_at, n_followers, is_minor, personalisation_opt_out,
    coalesce(next_at, {never}) AS next_at
FROM people JOIN (
    SELECT user_index, {at[0]} AS first_at, {at[1]} AS last_at, max(last_at) FILTER ({seen}) AS latest_at,
        min(first_at) FILTER (NOT ({seen}) AND {_ACTIVITY}) AS next_at
    FROM tallies GROUP BY user_index
) USING (user_index)
WHERE latest_at IS NOT NULL AND coalesce(last_at, {never}) >= {active_since}
"""


def _rows(segment: int) -> str:
    return f"""
SELECT user_index, day, kind, CAST(sum(n) AS INTEGER) AS n, CAST(sum(value) AS BIGINT) AS value
FROM tallies JOIN heads USING (user_index)
WHERE segment <= {segment} AND day > (latest_at + {COMMUNITY_OFFSET_US}) // {DAY_US} - {RETAINED_DAYS}
GROUP BY user_index, day, kind ORDER BY user_index, day, kind
"""

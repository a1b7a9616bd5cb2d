"""What is kept of a user: integer facts that do not depend on the order in which events arrive.

A state is one tally per (calendar day, event kind) plus a few instants. Adding an event only adds integers and takes
minima and maxima, all of which commute: however late or shuffled the events, the state is the same bit for bit.
``UserState`` is one user's, folded event by event online; ``UserStates`` is many users' as columns, which the features
read. Offline, one SQL aggregate builds the same columns (``features.snapshots``).

Instants are integer microseconds since 1970 UTC. Days are counted in community time, a fixed offset from UTC (China
keeps no daylight saving time).
"""

import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from features.schema import IMPRESSION

HOUR_US: Final = 3_600_000_000
DAY_US: Final = 24 * HOUR_US
COMMUNITY_OFFSET_US: Final = 8 * HOUR_US
"""Community time is UTC+08:00."""

RETAINED_DAYS: Final = 730
"""Tallies this old, counted back from the user's latest event, are dropped; no feature looks further back."""

NEVER: Final = -(2**63)
"""The instant of what has not happened (the minimum of int64, as NumPy's NaT)."""

TALLY = np.dtype([("day", "<u2"), ("kind", "u1"), ("_", "u1"), ("n", "<u4"), ("value", "<i8")])
"""A row of a state: community day since 1970, kind code, number of events, sum of their values in thousandths."""

UNKNOWN_FOLLOWERS: Final = -1
"""The number of followers of a user whose profile does not say."""

INSTANTS: Final = ("first_at", "last_at", "latest_at", "registered_at")
PROFILE: Final[Mapping[str, type[np.generic]]] = {
    "n_followers": np.int64,
    "is_minor": np.bool_,
    "personalisation_opt_out": np.bool_,
}
"""What else a state holds of the user's profile, and how the columns hold it."""

_HEADER = np.dtype(
    [("version", "u1"), *((name, "<i8") for name in (*INSTANTS, "n_followers"))]
    + [(name, "?") for name in ("is_minor", "personalisation_opt_out")]
)
_VERSION: Final = 2
_PACK_HEADER = struct.Struct("<B5q2?")
_PACK_TALLY = struct.Struct("<HBxIq")


def community_day(instant: int) -> int:
    """The calendar day of an instant in community time, in days since 1970-01-01."""
    return (instant + COMMUNITY_OFFSET_US) // DAY_US


def community_days(instants: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The same of many instants."""
    return (instants + COMMUNITY_OFFSET_US) // DAY_US


def community_day_start(instant: int) -> int:
    """The instant at which the community day of an instant began."""
    return instant - (instant + COMMUNITY_OFFSET_US) % DAY_US


def thousandths(value: float | None) -> int:
    """A value in thousandths, halves upwards (the rule every SQL engine can follow); a missing value counts 0."""
    return 0 if value is None else math.floor(value * 1000 + 0.5)


class Event(NamedTuple):
    """What a state needs of one event: kind code, instant, value in thousandths."""

    kind: int
    at: int
    value: int = 0


class Tally(NamedTuple):
    """One day's events of one kind: how many, and the sum of their values in thousandths."""

    n: int
    value: int


@dataclass(frozen=True, slots=True)
class UserState:
    """One user's facts.

    ``first_at`` and ``last_at`` are of activity (all kinds but impressions), ``latest_at`` of any event;
    ``registered_at`` and what follows come from the user's profile; a flag that it does not mention is False.
    """

    first_at: int = NEVER
    last_at: int = NEVER
    latest_at: int = NEVER
    registered_at: int = NEVER
    n_followers: int = UNKNOWN_FOLLOWERS
    is_minor: bool = False
    personalisation_opt_out: bool = False
    tallies: Mapping[tuple[int, int], Tally] = field(default_factory=lambda: MappingProxyType({}))

    def fold(self, events: Iterable[Event]) -> Self:
        """The state with ``events`` added, in whatever order they come."""
        tallies = dict(self.tallies)
        activity = [] if self.first_at == NEVER else [self.first_at, self.last_at]
        latest_at = self.latest_at
        for kind, at, value in events:
            key = (community_day(at), kind)
            n, total = tallies.get(key, (0, 0))
            tallies[key] = Tally(n + 1, total + value)
            latest_at = max(latest_at, at)
            if kind != IMPRESSION:
                activity.append(at)
        return replace(
            self,
            first_at=min(activity, default=NEVER),
            last_at=max(activity, default=NEVER),
            latest_at=latest_at,
            tallies=_retained(tallies, latest_at),
        )

    def encode(self) -> bytes:
        """The state as bytes: equal states give equal bytes."""
        header = _PACK_HEADER.pack(_VERSION, *(getattr(self, name) for name in (*INSTANTS, *PROFILE)))
        rows = (_PACK_TALLY.pack(*key, *self.tallies[key]) for key in sorted(self.tallies))
        return header + b"".join(rows)

    @classmethod
    def decode(cls, encoded: bytes) -> Self:
        """The state that ``encode`` wrote; ValueError for bytes of another version."""
        version, *heads = _PACK_HEADER.unpack_from(encoded)
        _require_version(version)
        rows = _PACK_TALLY.iter_unpack(encoded[_PACK_HEADER.size :])
        tallies = {(day, kind): Tally(*tally) for day, kind, *tally in rows}
        return cls(**dict(zip((*INSTANTS, *PROFILE), heads, strict=True)), tallies=tallies)


def _retained(tallies: dict[tuple[int, int], Tally], latest_at: int) -> dict[tuple[int, int], Tally]:
    oldest = community_day(latest_at) - RETAINED_DAYS
    return {key: tally for key, tally in tallies.items() if key[0] > oldest}


def is_readable(encoded: bytes) -> bool:
    """Whether ``decode`` can read these bytes: a state of this version and of a possible length."""
    n_tally_bytes = len(encoded) - _PACK_HEADER.size
    return n_tally_bytes >= 0 and n_tally_bytes % _PACK_TALLY.size == 0 and encoded[0] == _VERSION


def _require_version(version: int) -> None:
    if version != _VERSION:
        raise ValueError(f"a stored user state has version {version}, expected {_VERSION}: rebuild the states")


@dataclass(frozen=True, slots=True, eq=False)
class UserStates:
    """Many users' facts as columns.

    Four instants per user (int64, ``NEVER`` for what has not happened), what their profile says, and the tallies of
    all, sorted by (user, day, kind); ``row_user`` gives each tally's user by place.
    """

    first_at: npt.NDArray[np.int64]
    last_at: npt.NDArray[np.int64]
    latest_at: npt.NDArray[np.int64]
    registered_at: npt.NDArray[np.int64]
    n_followers: npt.NDArray[np.int64]
    is_minor: npt.NDArray[np.bool_]
    personalisation_opt_out: npt.NDArray[np.bool_]
    rows: npt.NDArray[np.void]
    row_user: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.first_at)

    @classmethod
    def decode(cls, encoded: Sequence[bytes]) -> Self:
        """The columns of states that ``UserState.encode`` wrote, in their order; an empty one is ``UserState()``'s."""
        size = _HEADER.itemsize
        headers = np.frombuffer(b"".join(one[:size] for one in encoded), _HEADER)
        for version in set(headers["version"].tolist()):
            _require_version(version)
        rows = np.frombuffer(b"".join(one[size:] for one in encoded), TALLY)
        n_rows = [(len(one) - size) // TALLY.itemsize for one in encoded]
        return cls(**heads_of(headers), rows=rows, row_user=np.repeat(np.arange(len(encoded)), n_rows))

    def take(self, users: slice) -> Self:
        """A block of neighbouring users, as a table of its own."""
        start, stop, _ = users.indices(len(self))
        low, high = np.searchsorted(self.row_user, [start, stop])
        heads = {name: getattr(self, name)[users] for name in (*INSTANTS, *PROFILE)}
        return type(self)(**heads, rows=self.rows[low:high], row_user=self.row_user[low:high] - start)


def heads_of(columns: Mapping[str, npt.NDArray[Any]] | npt.NDArray[np.void]) -> dict[str, npt.NDArray[Any]]:
    """The instants and the profiles of ``UserStates`` out of columns that hold them by name."""
    types: dict[str, Any] = {**dict.fromkeys(INSTANTS, np.int64), **PROFILE}
    return {name: np.asarray(columns[name], dtype) for name, dtype in types.items()}

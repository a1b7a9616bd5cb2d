"""Time in the sample community: milliseconds from the log's start, local days, the shape of a day."""

from datetime import UTC, date, datetime, time, timedelta, timezone

import numpy as np

from training.sample.arrays import Ints

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
# Asia/Shanghai has kept +08:00 without summer time since 1991; a fixed offset needs no tz database
COMMUNITY_ZONE = timezone(timedelta(hours=8), "Asia/Shanghai")
WEEKDAY_FACTOR = np.array([0.95, 0.93, 0.93, 0.95, 1.02, 1.15, 1.13])  # Monday first
MORNING = (2.2, 1.0, 0.5, 0.3, 0.3, 0.5, 1.6, 3.2, 4.4, 4.2, 4.0, 4.4)  # percent of a day's sessions, by hour
AFTERNOON = (6.2, 5.6, 4.2, 3.9, 4.0, 4.4, 5.2, 6.2, 7.6, 9.0, 9.4, 7.6)


def start_instant(start: date) -> datetime:
    """The instant, in UTC, at which ``start`` begins in the community."""
    return datetime.combine(start, time(), COMMUNITY_ZONE).astimezone(UTC)


def weekday_factor(start: date, day: int) -> float:
    """How busy the ``day``-th day of the log is, against a mean day."""
    return float(WEEKDAY_FACTOR[(start.weekday() + day) % 7])


def times_of_day(rng: np.random.Generator, late_ms: Ints) -> Ints:
    """Milliseconds after local midnight for people whose day runs ``late_ms`` later than most."""
    cumulative = np.cumsum([*MORNING, *AFTERNOON])
    hour = np.searchsorted(cumulative, rng.random(len(late_ms)) * cumulative[-1], side="right")
    return np.asarray((hour * HOUR_MS + rng.integers(0, HOUR_MS, len(late_ms)) + late_ms) % DAY_MS)

"""When to look: the instants a churn model is trained and tested at, chosen from the log where not given.

A training row looks at a user at ``as_of`` and asks who came back within ``horizon_days``; its answer is known only
when that window has closed. Nothing after a test instant may teach the model that is tested there, so a row is used
only if its window closes by then (an embargo as long as the horizon).
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from features.errors import DataError
from features.state import DAY_US
from training.churn.config import ChurnConfig, Every
from training.errors import ConfigError

INSTANTS_PER_HORIZON: Final = 13
TESTS_PER_HORIZON: Final = 6
MAX_INSTANTS: Final = 100
MIN_INSTANTS: Final = 3
_FIRST_DAYS: Final = 7


@dataclass(frozen=True, slots=True)
class Plan:
    """Test instants (ascending; the last is the main one) and training instants (ascending), microseconds UTC."""

    test: tuple[int, ...]
    train: tuple[int, ...]

    @property
    def main(self) -> int:
        """The instant whose held-out users the report and the gates judge."""
        return self.test[-1]


def plan_instants(config: ChurnConfig, first: int, end: int) -> Plan:
    """Choose the instants for a log from ``first`` to ``end``.

    DataError where it is too short for the horizons, ConfigError for too many given instants.
    """
    main_days = config.main_horizon
    main = test_instant(config, main_days, end)
    step = max(1, round(main_days / INSTANTS_PER_HORIZON))
    train = _rolling(config, step, first=first, main=main) if config.train_as_of is None else _given(config)
    spacing = max(1, round(main_days / TESTS_PER_HORIZON / step)) * step * DAY_US
    tests = [main - place * spacing for place in range(config.n_test_instants)]
    allowed = tuple(test for test in reversed(tests) if _n_closed(train, main_days, by=test) >= MIN_INSTANTS)
    if main not in allowed:
        left = f"leaves {_n_closed(train, main_days, by=main)} training instants"
        raise DataError(
            f"the log from {date_of(first)} to {date_of(end)} {left} whose {main_days}-day window closes by "
            f"{date_of(main)}; {MIN_INSTANTS} are needed"
        )
    return Plan(allowed, tuple(instant for instant in train if instant < main))


def test_instant(config: ChurnConfig, horizon_days: int, end: int) -> int:
    """The configured test instant, else the latest whose window closes by ``end``; DataError for one that does not."""
    latest = end - horizon_days * DAY_US
    as_of = latest if config.test_as_of is None else to_micros(config.test_as_of)
    if as_of > latest:
        needed = f"{horizon_days} days after test_as_of {date_of(as_of)}"
        raise DataError(f"the log ends {date_of(end)}, before the {needed} have passed")
    return as_of


def without_long_horizons(config: ChurnConfig, first: int, end: int) -> ChurnConfig:
    """The settings, less the longest of the default horizons where the log is too short for them.

    Where horizons or instants were asked for, all is kept as it is.
    """
    if config.model_fields_set & {"horizon_days", "test_as_of", "train_as_of"}:
        return config
    for n in range(len(config.horizon_days), 1, -1):
        shorter = config.model_copy(update={"horizon_days": config.horizon_days[:n]})
        with suppress(DataError):
            plan_instants(shorter, first, end)
            return shorter
    return config.model_copy(update={"horizon_days": config.horizon_days[:1]})


def is_closed(as_of: int, horizon_days: int, *, by: int) -> bool:
    """Whether the window of ``horizon_days`` from ``as_of`` has closed by an instant."""
    return as_of + horizon_days * DAY_US <= by


def _n_closed(instants: Sequence[int], horizon_days: int, *, by: int) -> int:
    return sum(is_closed(instant, horizon_days, by=by) for instant in instants)


def short_horizon(horizon_days: int) -> int:
    """Whole weeks, about a third of a horizon: its windows close early enough to show where a rate is heading."""
    return 7 * max(1, round(horizon_days / 21))


def to_micros(instant: datetime) -> int:
    """Microseconds since 1970 UTC."""
    return round(instant.timestamp() * 1_000_000)


def date_of(instant: int) -> str:
    """The UTC date of an instant, as ISO 8601."""
    return datetime.fromtimestamp(instant / 1_000_000, tz=UTC).date().isoformat()


def _rolling(config: ChurnConfig, step: int, *, first: int, main: int) -> list[int]:
    """Every ``step`` days up to where the shortest window closes, from a while after the log starts.

    The first users of a log have no history, so the first instants say little: the while is a sixth of ``active_days``
    and at least two weeks, less where the log is short.
    """
    shortest = min(config.horizon_days[0], short_horizon(config.main_horizon))
    start = first + max(14, config.present_days // 6) * DAY_US
    start = min(start, main - (config.main_horizon + 7 * step) * DAY_US)
    start = max(start, first + _FIRST_DAYS * DAY_US)
    return list(range(main - shortest * DAY_US, start - 1, -step * DAY_US))[:MAX_INSTANTS][::-1]


def _given(config: ChurnConfig) -> list[int]:
    given = config.train_as_of
    if isinstance(given, Every):
        instants = list(range(to_micros(given.start), to_micros(given.end) + 1, given.every_days * DAY_US))
    else:
        instants = sorted({to_micros(instant) for instant in given or ()})
    if len(instants) > MAX_INSTANTS:
        raise ConfigError(f"train_as_of names {len(instants)} instants, at most {MAX_INSTANTS} are allowed")
    return instants

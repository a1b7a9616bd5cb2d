"""What a churn run may be told: a TOML file, checked as it is read."""

import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
)

from features.state import RETAINED_DAYS
from training.errors import ConfigError

LONGEST_DAYS: Final = RETAINED_DAYS - 1
MAX_HORIZONS: Final = 8


def _instant(value: object) -> datetime:
    """A bare date is midnight UTC; a time must say its offset."""
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value)
        except ValueError:
            value = datetime.fromisoformat(str(value))
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("the time has no offset such as Z or +08:00")
        return value.astimezone(UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    raise ValueError("expected a date, or a time with its offset")


Instant = Annotated[datetime, BeforeValidator(_instant)]
Days = Annotated[int, Field(strict=True, ge=1, le=LONGEST_DAYS)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Every(_Table):
    """Instants from ``start`` to ``end`` (both included where they fall), ``every_days`` apart."""

    start: Instant
    end: Instant
    every_days: Days


class Gates(_Table):
    """What a model must reach to be registered."""

    min_auc_difference: float = Field(default=-0.005, strict=True)
    """Mean paired AUC difference to the better baseline."""
    max_ece: float = Field(default=0.1, strict=True, gt=0, le=1)
    """Expected calibration error at the longest horizon."""


def _form(value: object) -> str:
    return "table" if isinstance(value, dict | Every) else "list"


Instants = Annotated[
    Annotated[tuple[Instant, ...], Tag("list")] | Annotated[Every, Tag("table")],
    Discriminator(_form),
]


class ChurnConfig(_Table):
    """A churn run's settings; what is absent is chosen from the log (``training.instants``)."""

    horizon_days: tuple[Days, ...] = (7, 14, 30)
    active_days: Days | None = None
    """A user counts as present who was active in this many days before; without it, the longest horizon."""
    test_as_of: Instant | None = None
    train_as_of: Instants | None = None
    n_test_instants: int = Field(default=4, strict=True, ge=1, le=20)
    """How many instants, the latest being ``test_as_of``, the comparison with the baselines averages over."""
    seed: int = Field(default=7, strict=True, ge=0, lt=2**31)
    gates: Gates = Gates()

    @field_validator("horizon_days")
    @classmethod
    def _ascending(cls, days: tuple[int, ...]) -> tuple[int, ...]:
        if not 1 <= len(days) <= MAX_HORIZONS or sorted(set(days)) != list(days):
            raise ValueError(f"expected 1 to {MAX_HORIZONS} numbers of days, ascending without repeats")
        return days

    @property
    def main_horizon(self) -> int:
        """The longest horizon: the one the gates judge."""
        return self.horizon_days[-1]

    @property
    def present_days(self) -> int:
        """``active_days``, or its default."""
        return self.active_days or self.main_horizon


def read_config(file: Path | None) -> ChurnConfig:
    """The configuration in a TOML file, or the defaults without one; ConfigError names the key and the value."""
    if file is None:
        return ChurnConfig()
    try:
        data: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
        return ChurnConfig.model_validate(data)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{file}: {error}") from error
    except ValidationError as error:
        raise ConfigError("\n".join(f"{file}: {_problem(one)}" for one in error.errors())) from error


def _problem(one: Mapping[str, Any]) -> str:
    key, what = ".".join(map(str, one["loc"])), one["msg"].removeprefix("Value error, ")
    return f"{key}: {what}, got {one['input']!r}"

"""What a churn run may be told."""

from datetime import UTC, date, datetime
from typing import Annotated, Final

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    field_validator,
)

from features.state import RETAINED_DAYS
from training.config import Table

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


class Every(Table):
    """Instants from ``start`` to ``end`` (both included where they fall), ``every_days`` apart."""

    start: Instant
    end: Instant
    every_days: Days


class Gates(Table):
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


class ChurnConfig(Table):
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

"""What a model must reach before it is registered or promoted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Gate:
    """One bound and what was measured against it; a measurement that is not a number fails.

    ``interval`` is the measurement's 95% interval and ``remark`` what else there is to say of it, where that is known.
    """

    name: str
    value: float
    minimum: float | None = None
    maximum: float | None = None
    interval: tuple[float, float] | None = None
    remark: str = ""

    @property
    def passed(self) -> bool:
        """Whether the value lies within the bounds."""
        above = self.minimum is None or self.value >= self.minimum
        below = self.maximum is None or self.value <= self.maximum
        return above and below and self.value == self.value

    def to_json(self) -> dict[str, Any]:
        """The gate as JSON values."""
        bounds = {"minimum": self.minimum, "maximum": self.maximum}
        given = {name: bound for name, bound in bounds.items() if bound is not None}
        said = {"interval": list(self.interval)} if self.interval else {}
        remark = {"remark": self.remark} if self.remark else {}
        return {
            "value": self.value if self.value == self.value else None,
            **given,
            **said,
            **remark,
            "passed": self.passed,
        }

    def __str__(self) -> str:
        low, high = self.minimum, self.maximum
        bounds = [f"at least {low:g}"] if low is not None else []
        bounds += [f"at most {high:g}"] if high is not None else []
        required = f", required {' and '.join(bounds)}" if bounds else ""
        interval = f" ({self.interval[0]:.4g} to {self.interval[1]:.4g})" if self.interval else ""
        return f"{self.name} {self.value:.4g}{interval}{required}{self.remark and f': {self.remark}'}"


def gates_to_json(gates: Sequence[Gate]) -> dict[str, Any]:
    """``{"passed": ..., <gate>: {...}}``: passed only if every gate is."""
    return {"passed": all(gate.passed for gate in gates), **{gate.name: gate.to_json() for gate in gates}}

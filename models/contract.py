"""What a model takes and gives, as plain data that travels in its bundle."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from models.errors import ContractError


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output of a graph: NumPy dtype name and shape, a leading ``None`` for the batch."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Self:
        """The tensor that ``asdict`` wrote."""
        return cls(str(data["name"]), str(data["dtype"]), tuple(data["shape"]))


@dataclass(frozen=True, slots=True)
class Contract:
    """The task a model does, its tensors, and the task's own settings (JSON values) that scoring reads."""

    task: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The contract as JSON values."""
        return asdict(self)

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Self:
        """The contract that ``to_json`` wrote; ContractError for anything else."""
        try:
            inputs = tuple(Tensor.parse(tensor) for tensor in data["inputs"])
            outputs = tuple(Tensor.parse(tensor) for tensor in data["outputs"])
            return cls(str(data["task"]), inputs, outputs, dict(data["settings"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ContractError(f"not a contract: {error!r}") from error

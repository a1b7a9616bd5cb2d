"""What a recommend bundle says beside its graph and tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from models.contract import Contract, Tensor
from models.errors import ContractError
from models.recommend.candidates import feature_names
from models.recommend.sequence import SEQUENCE

TASK: Final = "recommend"
INPUT: Final = "features"
OUTPUT: Final = "score"


@dataclass(frozen=True, slots=True)
class RecommendSettings:
    """The neighbour sources by name, in the order of their features, each one's ``decay``, and whether a sequence
    model, and then content, are further sources.
    """

    sources: tuple[str, ...]
    decays: tuple[float, ...]
    sequence: bool = False
    content: bool = False

    @property
    def behaviour(self) -> tuple[str, ...]:
        """The sources but content, in order."""
        return (*self.sources, SEQUENCE) if self.sequence else self.sources

    def contract(self) -> Contract:
        """The bundle contract of a model with these settings."""
        inputs = (Tensor(INPUT, "float32", (None, len(feature_names(self.behaviour, with_content=self.content)))),)
        outputs = (Tensor(OUTPUT, "float32", (None, 1)),)
        settings = {name: getattr(self, name) for name in self.__slots__}
        return Contract(TASK, inputs, outputs, settings)

    @classmethod
    def of(cls, contract: Contract) -> Self:
        """The settings in a contract; ContractError for another task, or values that don't fit."""
        if contract.task != TASK:
            raise ContractError(f"the bundle's task is {contract.task}, expected {TASK}")
        settings = cls._parse(contract.settings)
        expected = settings.contract()
        if (contract.inputs, contract.outputs) != (expected.inputs, expected.outputs):
            raise ContractError("the contract's tensors don't fit its sources")
        return settings

    @classmethod
    def _parse(cls, data: Mapping[str, Any]) -> Self:
        try:
            settings = cls(
                tuple(map(str, data["sources"])),
                tuple(map(float, data["decays"])),
                sequence=bool(data.get("sequence")),
                content=bool(data.get("content")),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ContractError(f"not a recommender's settings: {error!r}") from error
        if not settings.sources or len(settings.sources) != len(settings.decays):
            raise ContractError("a recommender needs sources, and one decay for each")
        return settings

"""Scores users with a released churn model: states and an instant in, probabilities out."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from features.state import DAY_US, NEVER, UserStates
from features.user import CATALOGUE, Seen, compute_features, feature_table
from models.bundle import Bundle
from models.churn.explainer import ChurnExplainer
from models.churn.reasons import Explanation, explain
from models.contract import Contract, Tensor
from models.errors import ContractError, ExplainError
from models.runtime import OnnxRunner, verify_golden

TASK: Final = "churn"
INPUT: Final = "features"
OUTPUT: Final = "churn_probability"


class ChurnStatus(StrEnum):
    """Whether a churn probability exists for a user: it is defined for those active in the ``active_days`` before."""

    SCORED = "scored"
    COLD_START = "cold_start"
    INACTIVE = "inactive"


_STATUSES: Final = np.array([ChurnStatus.COLD_START, ChurnStatus.SCORED, ChurnStatus.INACTIVE], np.object_)


@dataclass(frozen=True, slots=True)
class ChurnSettings:
    """What a churn bundle says beside its graph.

    ``features`` are catalogue names in input order; ``thresholds`` the probability, per horizon, from which a user
    is at risk; ``horizon_days`` ascend.
    """

    features: tuple[str, ...]
    horizon_days: tuple[int, ...]
    active_days: int
    thresholds: tuple[float, ...]

    def contract(self) -> Contract:
        """The bundle contract of a model with these settings."""
        inputs = (Tensor(INPUT, "float32", (None, len(self.features))),)
        outputs = (Tensor(OUTPUT, "float32", (None, len(self.horizon_days))),)
        settings = {name: getattr(self, name) for name in self.__slots__}
        return Contract(TASK, inputs, outputs, settings)

    @classmethod
    def of(cls, contract: Contract) -> Self:
        """The settings in a contract; ContractError for another task, an unknown feature or values that don't fit."""
        if contract.task != TASK:
            raise ContractError(f"the bundle's task is {contract.task}, expected {TASK}")
        settings = cls._parse(contract.settings)
        if unknown := sorted(set(settings.features) - CATALOGUE.keys()):
            raise ContractError(f"the model reads features this version does not compute: {', '.join(unknown)}")
        expected = settings.contract()
        if (contract.inputs, contract.outputs) != (expected.inputs, expected.outputs):
            raise ContractError("the contract's tensors don't fit its features and horizons")
        return settings

    @classmethod
    def _parse(cls, data: Mapping[str, Any]) -> Self:
        try:
            settings = cls(
                tuple(map(str, data["features"])),
                tuple(map(int, data["horizon_days"])),
                int(data["active_days"]),
                tuple(map(float, data["thresholds"])),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ContractError(f"not a churn model's settings: {error!r}") from error
        ascending = sorted(set(settings.horizon_days)) == list(settings.horizon_days)
        if not settings.horizon_days or not ascending or len(settings.thresholds) != len(settings.horizon_days):
            raise ContractError("a churn model needs ascending horizons, and one threshold for each")
        return settings


@dataclass(frozen=True, slots=True, eq=False)
class ChurnScores:
    """Per user, in order: the status, and the probability per horizon.

    ``probability`` is float32 of shape (n_users, n_horizons), NaN for a user who is not ``scored``.
    """

    status: tuple[ChurnStatus, ...]
    probability: npt.NDArray[np.float32]


class ChurnScorer:
    """A churn model ready to answer.

    Raises ContractError for a bundle this code can't serve, BundleError for one that does not reproduce its golden
    examples.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.settings = ChurnSettings.of(bundle.contract)
        self._features = [CATALOGUE[name] for name in self.settings.features]
        self.runner = OnnxRunner(bundle)
        verify_golden(self.runner, bundle)
        self._explainer = ChurnExplainer.of(
            bundle.files, horizon_days=self.settings.horizon_days, n_features=len(self._features)
        )

    def score(self, states: UserStates, as_of: int) -> ChurnScores:
        """Score users from states that hold nothing at or after ``as_of`` (microseconds since 1970 UTC)."""
        return self.score_seen(Seen(states, as_of))

    def score_seen(self, seen: Seen) -> ChurnScores:
        """``score``, for those who go on to read more of what was seen."""
        states = seen.states
        probability = self.runner.run({INPUT: feature_table(self._features, seen)})[OUTPUT]
        active = self._active(states, seen.as_of)
        status = _STATUSES[np.where(states.last_at == NEVER, 0, np.where(active, 1, 2))]
        return ChurnScores(tuple(status.tolist()), np.where(active[:, None], probability, np.float32(np.nan)))

    def explain(self, states: UserStates, as_of: int, column: int) -> tuple[Explanation | None, ...]:
        """Per user, why the raw score of one horizon is what it is; None for a user who is not ``scored``.

        For one thread at a time. ExplainError where the bundle holds no parts to explain, or LightGBM is not installed.
        """
        if self._explainer is None:
            raise ExplainError("the model was released without what explains it")
        contributions = self._explainer.contributions(compute_features(self._features, states, as_of), column)
        scored = self._active(states, as_of)
        return explain(self.settings.features, contributions, states, as_of=as_of, scored=scored)

    def _active(self, states: UserStates, as_of: int) -> npt.NDArray[np.bool_]:
        return np.asarray(states.last_at >= as_of - self.settings.active_days * DAY_US)

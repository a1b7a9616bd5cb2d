"""States in, churn probabilities out; a bundle that this code can't serve is refused when it is opened."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from features.schema import IMPRESSION, KIND_CODES
from features.state import DAY_US, Event, UserState, UserStates
from models.bundle import Bundle, Golden
from models.churn.scorer import INPUT, OUTPUT, ChurnScorer, ChurnSettings, ChurnStatus
from models.contract import Contract, Tensor
from models.errors import BundleError, ContractError

AS_OF = 20_000 * DAY_US
OPEN = KIND_CODES["open"]


def user(*days_before: float, kind: int = OPEN) -> bytes:
    """The state of a user with events that many days before the instant."""
    return UserState().fold(Event(kind, AS_OF - round(days * DAY_US)) for days in days_before).encode()


CROWD = [user(3), UserState().encode(), user(3, 40, 41), user(10), user(10.001), user(1, kind=IMPRESSION)]


@pytest.fixture
def scorer(churn_bundle: Callable[..., Bundle]) -> ChurnScorer:
    return ChurnScorer(churn_bundle())


def test_a_users_probability_is_the_graphs_for_the_users_features(scorer: ChurnScorer) -> None:
    scores = scorer.score(UserStates.decode([user(3)]), AS_OF)  # three days ago, one event: the golden example
    np.testing.assert_allclose(scores.probability, [[2 / 3, 2 / (2 + np.e)]], rtol=1e-6)


def test_only_a_user_active_lately_has_a_probability(scorer: ChurnScorer) -> None:
    scored, cold, inactive = ChurnStatus.SCORED, ChurnStatus.COLD_START, ChurnStatus.INACTIVE
    scores = scorer.score(UserStates.decode(CROWD), AS_OF)
    assert scores.status == (scored, cold, scored, scored, inactive, cold)  # active_days is 10, the tenth day included
    has_one = [status is scored for status in scores.status]
    np.testing.assert_array_equal(np.isfinite(scores.probability), np.stack([has_one, has_one], axis=1))


def test_one_user_alone_gets_what_the_user_gets_in_a_crowd(scorer: ChurnScorer) -> None:
    together = scorer.score(UserStates.decode(CROWD), AS_OF)
    alone = [scorer.score(UserStates.decode([one]), AS_OF) for one in CROWD]
    assert together.probability.tobytes() == b"".join(one.probability.tobytes() for one in alone)
    assert together.status == tuple(status for one in alone for status in one.status)


def test_nobody_is_scored_where_nobody_is_asked_for(scorer: ChurnScorer) -> None:
    scores = scorer.score(UserStates.decode([]), AS_OF)
    assert scores.status == ()
    assert scores.probability.shape == (0, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": ("days_since_last_activity", "shoe_size")}, "does not compute: shoe_size"),
        ({"horizon_days": (14, 7)}, "ascending"),
        ({"horizon_days": (7, 7)}, "ascending"),
        ({"horizon_days": (), "thresholds": ()}, "one threshold for each"),
        ({"thresholds": (0.5,)}, "one threshold for each"),
        ({"active_days": "ten"}, "not a churn model's settings"),
        ({"horizon_days": None}, "not a churn model's settings"),
    ],
)
def test_settings_that_cannot_be_served_are_refused(
    churn_bundle: Callable[..., Bundle], settings: ChurnSettings, change: dict[str, Any], message: str
) -> None:
    contract = settings.contract()
    wrong = replace(contract, settings={**contract.settings, **change})
    with pytest.raises(ContractError, match=message):
        ChurnScorer(churn_bundle(contract=wrong))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "quality"}, "task is quality, expected churn"),
        ({"inputs": (Tensor(INPUT, "float32", (None, 3)),)}, "tensors don't fit"),
        ({"outputs": (Tensor(OUTPUT, "float32", (None, 1)),)}, "tensors don't fit"),
        ({"settings": {}}, "not a churn model's settings"),
    ],
)
def test_a_contract_that_cannot_be_served_is_refused(
    churn_bundle: Callable[..., Bundle], settings: ChurnSettings, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ContractError, match=message):
        ChurnScorer(churn_bundle(contract=replace(settings.contract(), **change)))


def test_a_graph_for_other_features_than_the_contract_names_is_refused(
    churn_bundle: Callable[..., Bundle], settings: ChurnSettings
) -> None:
    wider = replace(settings, features=(*settings.features, "n_active_days")).contract()
    with pytest.raises(ContractError, match="the graph's inputs are"):
        ChurnScorer(churn_bundle(contract=wider))


def test_a_model_that_does_not_repeat_its_golden_examples_is_refused(
    churn_bundle: Callable[..., Bundle], golden: Golden
) -> None:
    off = replace(golden, outputs={OUTPUT: golden.outputs[OUTPUT] + np.float32(0.001)})
    with pytest.raises(BundleError, match=r"off by 0\.001"):
        ChurnScorer(churn_bundle(golden=off))


def test_settings_come_back_from_their_contract(settings: ChurnSettings) -> None:
    assert ChurnSettings.of(Contract.parse(settings.contract().to_json())) == settings

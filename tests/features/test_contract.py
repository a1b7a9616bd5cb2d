"""What every feature of the catalogue promises."""

from dataclasses import replace

import numpy as np
import pytest

from features.schema import EVENT_KINDS
from features.state import DAY_US, HOUR_US, INSTANTS, PROFILE, TALLY, UserState, UserStates
from features.user import CATALOGUE, CHURN_FEATURES, KIND_FEATURES, Feature, FloatColumn, Seen, compute_features

AS_OF = 19_723 * DAY_US + 7 * HOUR_US
"""2024-01-01 07:00 UTC: the crowd's events all lie before it."""

COLUMNS = (*INSTANTS, *PROFILE, "rows", "row_user")
FACTS = {*INSTANTS, *(f"tallies.{name}" for name in TALLY.names or () if name != "_")}

every_feature = pytest.mark.parametrize("one", CATALOGUE.values(), ids=CATALOGUE)


@pytest.fixture
def states(crowd: list[UserState]) -> UserStates:
    return UserStates.decode([user.encode() for user in crowd])


def column(one: Feature, states: UserStates) -> FloatColumn:
    return one.compute(Seen(states, AS_OF))


@every_feature
def test_one_user_alone_gets_bit_for_bit_what_the_user_gets_in_a_crowd(states: UserStates, one: Feature) -> None:
    alone = [column(one, states.take(slice(user, user + 1))) for user in range(len(states))]
    assert column(one, states).tobytes() == np.concatenate(alone).tobytes()


@every_feature
def test_a_column_is_float32_with_a_value_a_user_and_tells_users_apart(states: UserStates, one: Feature) -> None:
    values = column(one, states)
    assert (values.dtype, values.shape) == (np.float32, (len(states),))
    assert len(np.unique(values)) > 1


@every_feature
def test_the_order_of_users_is_kept(crowd: list[UserState], states: UserStates, one: Feature) -> None:
    turned = UserStates.decode([user.encode() for user in reversed(crowd)])
    np.testing.assert_array_equal(column(one, turned), column(one, states)[::-1])


@every_feature
def test_an_empty_history_is_zero_or_missing_as_the_catalogue_says(one: Feature) -> None:
    (value,) = column(one, UserStates.decode([UserState().encode()]))
    assert np.isnan(value) if one.missing != "never" else value == 0


@every_feature
def test_what_is_never_missing_is_a_number_for_everyone(states: UserStates, one: Feature) -> None:
    assert one.missing != "never" or np.isfinite(column(one, states)).all()


@every_feature
def test_the_input_is_not_changed(states: UserStates, one: Feature) -> None:
    before = [np.array(getattr(states, name)) for name in COLUMNS]
    column(one, states)
    for name, old in zip(COLUMNS, before, strict=True):
        np.testing.assert_array_equal(getattr(states, name), old)


@every_feature
def test_a_feature_reads_only_the_facts_it_names(states: UserStates, one: Feature) -> None:
    rows = states.rows.copy()
    for fact in {"n", "value"} - {fact.removeprefix("tallies.") for fact in one.facts}:
        rows[fact] += 1  # not the day and the kind: they are a tally's key, read with whatever else is
    instants = {fact: getattr(states, fact) - 1 for fact in INSTANTS if fact not in one.facts}
    other = replace(states, rows=rows, **instants)
    assert column(one, other).tobytes() == column(one, states).tobytes()


@every_feature
def test_the_catalogue_describes_the_feature_under_its_own_name(one: Feature) -> None:
    assert CATALOGUE[one.name] is one
    assert one.unit
    assert one.missing
    assert one.meaning[0].isupper()
    assert one.facts
    assert FACTS.issuperset(one.facts)


def test_no_two_features_share_a_name() -> None:
    assert len(CATALOGUE) == len(CHURN_FEATURES) + sum(map(len, KIND_FEATURES.values()))
    assert tuple(KIND_FEATURES) == EVENT_KINDS


def test_columns_stand_side_by_side_in_the_order_asked_for(states: UserStates) -> None:
    asked = (KIND_FEATURES["like"][0], *reversed(CHURN_FEATURES))
    table = compute_features(asked, states, AS_OF)
    assert (table.dtype, table.shape) == (np.float32, (len(states), len(asked)))
    for place, one in enumerate(asked):
        np.testing.assert_array_equal(table[:, place], column(one, states))


def test_no_users_give_no_rows() -> None:
    assert compute_features(CHURN_FEATURES, UserStates.decode([]), AS_OF).shape == (0, len(CHURN_FEATURES))

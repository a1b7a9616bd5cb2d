"""A state holds the same facts however its events arrive, and survives being written down."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.schema import EVENT_KINDS, IMPRESSION, KIND_CODES, OTHER, kind_code
from features.state import (
    DAY_US,
    INSTANTS,
    NEVER,
    PROFILE,
    RETAINED_DAYS,
    UNKNOWN_FOLLOWERS,
    Event,
    Tally,
    UserState,
    UserStates,
    community_day,
    thousandths,
)

At: TypeAlias = Callable[[str], int]
History: TypeAlias = Callable[..., UserState]

CLICK, LIKE = KIND_CODES["click"], KIND_CODES["like"]

# Half the days lie where retention cuts: about two years before the latest ones.
_days = st.one_of(st.integers(19_000, 20_500), st.sampled_from([20_500 - RETAINED_DAYS + step for step in (-1, 0, 1)]))
_times = st.one_of(st.integers(0, DAY_US - 1), st.sampled_from([0, 16 * DAY_US // 24 - 1, 16 * DAY_US // 24]))
_events = st.builds(
    lambda kind, day, time, value: Event(kind, day * DAY_US + time, value),
    st.integers(0, len(EVENT_KINDS) - 1), _days, _times, st.integers(-(10**12), 10**12),
)  # fmt: skip
_histories = st.lists(_events, max_size=40)


@given(history=_histories, data=st.data())
@settings(derandomize=True, deadline=None, max_examples=150)
def test_any_order_and_any_split_into_batches_give_the_same_bytes(history: list[Event], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(history))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(history)), max_size=5)))
    folded = UserState()
    for start, stop in zip([0, *cuts], [*cuts, len(history)], strict=True):
        folded = folded.fold(shuffled[start:stop])
    assert folded.encode() == UserState().fold(history).encode()


_profiles = st.builds(
    UserState,
    registered_at=st.integers(NEVER, 2**62),
    n_followers=st.integers(UNKNOWN_FOLLOWERS, 10**12),
    is_minor=st.booleans(),
    personalisation_opt_out=st.booleans(),
)


@given(history=_histories, profile=_profiles)
@settings(derandomize=True, deadline=None, max_examples=50)
def test_decode_gives_back_what_encode_wrote(history: list[Event], profile: UserState) -> None:
    state = profile.fold(history)
    assert UserState.decode(state.encode()) == state
    columns = UserStates.decode([UserState().encode(), state.encode()])
    assert [getattr(columns, name)[1].item() for name in PROFILE] == [getattr(state, name) for name in PROFILE]


def test_the_columns_hold_each_users_facts_in_their_order(crowd: list[UserState]) -> None:
    states = UserStates.decode([one.encode() for one in crowd])
    assert len(states) == len(crowd)
    for place, one in enumerate(crowd):
        assert [int(getattr(states, name)[place]) for name in INSTANTS] == [getattr(one, name) for name in INSTANTS]
        rows = states.rows[states.row_user == place][["day", "kind", "n", "value"]].tolist()
        assert rows == [(*key, *tally) for key, tally in sorted(one.tallies.items())]


def test_no_users_decode_to_empty_columns() -> None:
    states = UserStates.decode([])
    assert (len(states), len(states.rows), len(states.row_user)) == (0, 0, 0)


def test_a_tally_counts_and_sums_one_day_and_kind(state: History) -> None:
    # 08:05, 08:25 and 09:10 in the community, whose day 2024-05-01 is the 19,844th since 1970
    one = state(("read", "2024-05-01 00:05", 1.5), ("read", "2024-05-01 00:25", 2), ("read", "2024-05-01 01:10"))
    assert one.tallies == {(19_844, KIND_CODES["read"]): Tally(n=3, value=3_500)}


def test_an_impression_is_no_activity_but_is_the_latest_event(state: History, at: At) -> None:
    one = state(
        ("impression", "2024-04-01"), ("click", "2024-05-01"), ("like", "2024-05-02"), ("impression", "2024-06-01")
    )
    assert one.first_at == at("2024-05-01")
    assert one.last_at == at("2024-05-02")
    assert one.latest_at == at("2024-06-01")


def test_an_impression_alone_leaves_no_activity(state: History) -> None:
    one = state(("impression", "2024-04-01"))
    assert (one.first_at, one.last_at) == (NEVER, NEVER)


def test_the_community_day_begins_at_16_00_utc(at: At) -> None:
    assert community_day(at("2024-05-01 15:59:59.999999")) == 19_844
    assert community_day(at("2024-05-01 16:00")) == 19_845


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, 0), (0, 0), (2.5, 2500), (99.99, 99_990), (0.0004, 0), (0.0005, 1), (0.0015, 2),
        (-2.5, -2500), (-0.0005, 0), (-0.0006, -1), (-0.0015, -1), (1e9, 10**12),
    ],
)  # fmt: skip
def test_thousandths_round_halves_upwards_below_zero_too(value: float | None, expected: int) -> None:
    assert thousandths(value) == expected


def test_an_event_name_outside_the_vocabulary_counts_as_other() -> None:
    assert kind_code("摇一摇") == kind_code("other") == OTHER
    assert [kind_code(kind) for kind in EVENT_KINDS] == list(range(len(EVENT_KINDS)))


def test_tallies_are_kept_for_two_years_back_from_the_latest_event(state: History, at: At) -> None:
    # 2024-05-01 less 729 days is 2022-05-03
    one = state(("like", "2022-05-02"), ("click", "2022-05-03"), ("impression", "2024-05-01"))
    assert sorted(one.tallies) == [(19_844 - 729, CLICK), (19_844, IMPRESSION)]
    assert one.first_at == at("2022-05-02")


def test_an_event_too_late_to_keep_still_moves_the_first_instant(state: History, at: At) -> None:
    one = state(("click", "2024-05-01")).fold([Event(LIKE, at("2020-01-01"))])
    assert (one.first_at, len(one.tallies)) == (at("2020-01-01"), 1)


def test_folding_leaves_the_old_state_as_it_was(state: History, at: At) -> None:
    old = state(("click", "2024-05-01"))
    before = old.encode()
    old.fold([Event(CLICK, at("2024-05-01 01:00"), 5)])
    assert old.encode() == before


def test_a_state_of_another_version_is_refused(state: History) -> None:
    old = b"\x63" + state(("click", "2024-05-01")).encode()[1:]
    with pytest.raises(ValueError, match=r"version 99, expected \d+: rebuild the states"):
        UserState.decode(old)
    with pytest.raises(ValueError, match=r"version 99, expected \d+: rebuild the states"):
        UserStates.decode([UserState().encode(), old])


@pytest.mark.parametrize("users", [slice(0, 3), slice(10, 20), slice(45, None), slice(7, 7), slice(None)])
def test_a_block_of_users_is_a_table_of_its_own(crowd: list[UserState], users: slice) -> None:
    encoded = [one.encode() for one in crowd]
    block, alone = UserStates.decode(encoded).take(users), UserStates.decode(encoded[users])
    for name in (*INSTANTS, *PROFILE, "rows", "row_user"):
        np.testing.assert_array_equal(getattr(block, name), getattr(alone, name))

"""A snapshot holds what happened before its instant, of whom, and what came next."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from features.errors import DataError
from features.schema import KIND_CODES
from features.snapshots import EventLog, Snapshot, log_span
from features.sources import Dataset
from features.state import DAY_US, NEVER

At: TypeAlias = Callable[[str], int]
Snapshots: TypeAlias = Callable[..., list[Snapshot]]
Write: TypeAlias = Callable[[Path, Sequence[Mapping[str, Any]]], Path]

CLICK, OTHER = KIND_CODES["click"], KIND_CODES["other"]


def tallies(snapshot: Snapshot) -> list[tuple[str, int, int, int]]:
    """(user, kind, events, value in thousandths) of each tally."""
    users = snapshot.user_ids[snapshot.states.row_user]
    return [(user, row["kind"], row["n"], row["value"]) for user, row in zip(users, snapshot.states.rows, strict=True)]


def test_an_event_at_exactly_as_of_is_not_seen(snapshots: Snapshots, at: At) -> None:
    log = [("u1", "click", "2024-05-01"), ("u1", "click", "2024-05-02"), ("u2", "click", "2024-05-02")]
    at_the_event, just_after = snapshots(log, "2024-05-02", "2024-05-02 00:00:00.000001")
    assert tallies(at_the_event) == [("u1", CLICK, 1, 0)]
    assert at_the_event.states.latest_at.tolist() == [at("2024-05-01")]
    assert tallies(just_after) == [("u1", CLICK, 1, 0), ("u1", CLICK, 1, 0), ("u2", CLICK, 1, 0)]


def test_next_at_is_the_first_activity_at_or_after_as_of(snapshots: Snapshots, at: At) -> None:
    log = [
        ("at", "click", "2024-05-01"), ("at", "click", "2024-05-02"), ("at", "click", "2024-05-03"),
        ("later", "click", "2024-05-01"), ("later", "impression", "2024-05-02"), ("later", "like", "2024-05-04"),
        ("never", "click", "2024-05-01"), ("never", "impression", "2024-05-02"),
    ]  # fmt: skip
    (snapshot,) = snapshots(log, "2024-05-02")
    assert snapshot.user_ids.tolist() == ["at", "later", "never"]
    assert snapshot.next_at.tolist() == [at("2024-05-02"), at("2024-05-04"), NEVER]


def test_a_user_is_active_from_exactly_so_many_days_before_as_of(snapshots: Snapshots) -> None:
    log = [
        ("a, on the edge", "click", "2024-05-03 12:00"),
        ("b, a microsecond early", "click", "2024-05-03 11:59:59.999999"),
        ("c, only shown", "impression", "2024-05-09"),
        ("d, at as_of", "click", "2024-05-10 12:00"),
        ("e, lately", "click", "2024-05-10 11:00"),
    ]
    (snapshot,) = snapshots(log, "2024-05-10 12:00", active_days=7)
    assert snapshot.user_ids.tolist() == ["a, on the edge", "e, lately"]


def test_without_active_days_everyone_seen_is_there(snapshots: Snapshots) -> None:
    log = [("shown", "impression", "2024-01-01"), ("old", "click", "2020-01-01"), ("new", "click", "2024-05-02")]
    (snapshot,) = snapshots(log, "2024-05-02")
    assert snapshot.user_ids.tolist() == ["old", "shown"]
    assert snapshot.states.last_at.tolist()[1] == NEVER


def test_users_stand_in_the_order_of_their_ids_and_keep_their_number(snapshots: Snapshots) -> None:
    log = [
        ("用户", "click", "2024-05-01"),
        ("b", "click", "2024-05-01"),
        ("B", "click", "2024-05-02"),
        ("a", "like", "2024-05-03"),
    ]
    first, second = snapshots(log, "2024-05-02", "2024-06-01")
    assert first.user_ids.tolist() == ["b", "用户"]
    assert second.user_ids.tolist() == sorted(["用户", "b", "B", "a"])
    numbers = dict(zip(second.user_ids, second.users.tolist(), strict=True))
    assert first.users.tolist() == [numbers["b"], numbers["用户"]]
    assert len(set(numbers.values())) == 4
    (alone,) = snapshots([("用户", "click", "2024-05-01")], "2024-05-02")
    assert alone.users.tolist() == [numbers["用户"]]
    assert numbers["a"] == int(hashlib.md5(b"a").hexdigest()[:15], 16)


def test_snapshots_come_in_time_order_once_each(snapshots: Snapshots, at: At) -> None:
    made = snapshots([("u1", "click", "2024-05-01")], "2024-05-03", "2024-05-02", "2024-05-03")
    assert [snapshot.as_of for snapshot in made] == [at("2024-05-02"), at("2024-05-03")]


def test_registered_at_comes_from_the_users_table(snapshots: Snapshots, at: At) -> None:
    log = [("known", "click", "2024-05-01"), ("undated", "click", "2024-05-01"), ("unlisted", "click", "2024-05-01")]
    users = [
        {"user_id": "known", "registered_at": "2024-04-01T08:00:00+08:00"},
        {"user_id": "undated", "registered_at": None},
        {"user_id": "silent", "registered_at": "2024-04-01T08:00:00Z"},
    ]
    (snapshot,) = snapshots(log, "2024-05-02", users=users)
    assert snapshot.user_ids.tolist() == ["known", "undated", "unlisted"]
    assert snapshot.states.registered_at.tolist() == [at("2024-04-01"), NEVER, NEVER]


def test_values_round_halves_upwards_before_they_are_summed(snapshots: Snapshots) -> None:
    values = (0.0005, 0.0005, -0.0005, -0.0006, 2.5)  # 1, 1, 0, -1 and 2,500 thousandths
    (snapshot,) = snapshots([("u1", "click", "2024-05-01", value) for value in values], "2024-05-02")
    assert tallies(snapshot) == [("u1", CLICK, 5, 2501)]


def test_unknown_event_names_are_tallied_as_other(snapshots: Snapshots) -> None:
    (snapshot,) = snapshots([("u1", "摇一摇", "2024-05-01"), ("u1", "other", "2024-05-01")], "2024-05-02")
    assert tallies(snapshot) == [("u1", OTHER, 2, 0)]


def test_the_log_spans_from_its_first_event_to_the_end_of_its_last_utc_day(
    tmp_path: Path, write: Write, dataset: Callable[[Path], Dataset], at: At
) -> None:
    times = ["2024-05-01T10:00:00Z", "2024-05-31T00:00:00Z"]
    rows = [{"event_id": time, "user_id": "u1", "event": "click", "occurred_at": time} for time in times]
    write(tmp_path / "events.csv", rows)
    assert log_span(dataset(tmp_path)) == (at("2024-05-01 10:00"), at("2024-06-01"))


def test_kinds_are_counted_before_one_of_the_instants(
    tmp_path: Path, write: Write, dataset: Callable[[Path], Dataset], at: At
) -> None:
    times = {"2024-05-01T10:00:00Z": "click", "2024-05-02T00:00:00Z": "click", "2024-05-03T00:00:00Z": "shake"}
    rows = [{"event_id": t, "user_id": "u1", "event": event, "occurred_at": t} for t, event in times.items()]
    write(tmp_path / "events.csv", rows)
    log = EventLog(dataset(tmp_path), [at("2024-05-02"), at("2024-05-04")])
    assert log.kind_counts(before=at("2024-05-02")) == {CLICK: 1}
    assert log.kind_counts(before=at("2024-05-04")) == {CLICK: 2, OTHER: 1}


def test_two_logs_of_one_dataset_do_not_disturb_each_other(
    tmp_path: Path, write: Write, dataset: Callable[[Path], Dataset], at: At
) -> None:
    time = "2024-05-01T10:00:00Z"
    write(tmp_path / "events.csv", [{"event_id": "e1", "user_id": "u1", "event": "click", "occurred_at": time}])
    opened = dataset(tmp_path)
    first = EventLog(opened, [at("2024-05-01")]).snapshots()
    EventLog(opened, [at("2024-06-01")])
    assert len(next(first).user_ids) == 0


def test_a_log_needs_events(tmp_path: Path, write: Write, dataset: Callable[[Path], Dataset]) -> None:
    write(tmp_path / "users.csv", [{"user_id": "u1"}])
    opened = dataset(tmp_path)
    for ask in (lambda: EventLog(opened, [DAY_US]), lambda: log_span(opened)):
        with pytest.raises(DataError, match=r"expected events\.parquet or events\.csv"):
            ask()

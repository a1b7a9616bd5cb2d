"""Which events make a step."""

from collections.abc import Callable

import pytest

from features.errors import DataError
from training.recommend.config import ACTIVITY
from training.recommend.sequences import Sequences

Read = Callable[..., Sequences]


def steps(sequences: Sequences, user: int = 0) -> list[str]:
    first, end = sequences.starts[user : user + 2]
    return sequences.note_ids[sequences.notes[first:end]].tolist()


def test_steps_come_in_time_order_and_at_one_instant_as_in_the_table(read: Read) -> None:
    events = [("u", "like", "late", 5), ("u", "like", "z", 1), ("u", "like", "a", 1), ("u", "click", "first", 0)]
    assert steps(read(events)) == ["first", "z", "a", "late"]


def test_a_run_of_events_on_one_note_is_one_step_and_a_return_another(read: Read) -> None:
    events = [("u", kind, note, at) for at, (kind, note) in enumerate(
        [("click", "a"), ("read", "a"), ("like", "a"), ("click", "b"), ("click", "a")]
    )]  # fmt: skip
    assert steps(read(events)) == ["a", "b", "a"]


def test_what_was_only_shown_hidden_reported_or_published_is_no_step(read: Read) -> None:
    kinds = ["impression", "like", "hide", "report", "publish", "collect"]
    events = [("u", kind, f"n{at}", at) for at, kind in enumerate(kinds)]
    assert steps(read(events)) == ["n1", "n5"]


def test_a_kind_outside_the_vocabulary_counts_as_other(read: Read) -> None:
    events = [("u", "listen", "a", 0), ("u", "like", "b", 1)]
    assert steps(read(events)) == ["a", "b"]
    assert steps(read(events, ["like"])) == ["b"]
    assert "other" in ACTIVITY


def test_an_event_without_a_note_is_no_step(read: Read) -> None:
    assert steps(read([("u", "open", "", 0), ("u", "click", "a", 1)])) == ["a"]


def test_a_log_with_too_few_users_is_refused(read: Read) -> None:
    with pytest.raises(DataError, match=r"0 users acted on three notes or more \(purchase\), 50 are needed"):
        read([("u", "like", "a", 0)], ["purchase"])


def test_notes_that_come_later_change_no_earlier_ones_order(read: Read) -> None:
    events = [("u", "like", f"n{step}", step) for step in range(30)]
    before = read(events[:20]).note_ids.tolist()
    after = read([*events[:20], *(("u", "like", f"x{step}", 10_000 + step) for step in range(30))]).note_ids.tolist()
    assert [note for note in after if note in set(before)] == before

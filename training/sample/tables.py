"""The sample community as Arrow tables: the data contract, and the truth behind it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from training.sample.arrays import Bools, Floats, Ints
from training.sample.clock import DAY_MS
from training.sample.community import Block, Forecast
from training.sample.events import KINDS, NONE
from training.sample.notes import HARMS, SPLITS, Labels, Notes
from training.sample.phrases import Phrasebook
from training.sample.population import HABITS, NEVER, TIERS, People
from training.sample.writing import Text

SOURCE = "synthetic"
INSTANT = pa.timestamp("us", tz="UTC")

EVENTS = pa.schema(
    [
        ("event_id", pa.string()),
        ("user_id", pa.string()),
        ("event", pa.string()),
        ("note_id", pa.string()),
        ("occurred_at", INSTANT),
        ("value", pa.float64()),
        ("target_user_id", pa.string()),
        ("session_id", pa.string()),
    ]
)
NOTES = pa.schema(
    [
        ("note_id", pa.string()),
        ("author_id", pa.string()),
        ("title", pa.string()),
        ("body", pa.string()),
        ("topics", pa.list_(pa.string())),
        ("category", pa.string()),
        ("n_images", pa.int64()),
        ("published_at", INSTANT),
    ]
)
USERS = pa.schema(
    [
        ("user_id", pa.string()),
        ("registered_at", INSTANT),
        ("n_followers", pa.int64()),
        ("personalisation_opt_out", pa.bool_()),
        ("is_minor", pa.bool_()),
    ]
)
NOTE_LABELS = pa.schema(
    [
        ("note_id", pa.string()),
        ("label", pa.string()),
        ("value", pa.float64()),
        ("split", pa.string()),
        ("source", pa.string()),
        ("decided_at", INSTANT),
    ]
)
TRUE_USERS = pa.schema(
    [
        ("user_id", pa.string()),
        ("tier", pa.string()),
        ("habit", pa.string()),
        ("session_rate", pa.float64()),
        ("base_mood", pa.float64()),
        ("mean_leave_hazard", pa.float64()),
        ("left_at", pa.list_(INSTANT)),
        ("returned_at", pa.list_(INSTANT)),
        ("interests_change_at", INSTANT),
        ("interests", pa.list_(pa.float32())),
        ("later_interests", pa.list_(pa.float32())),
    ]
)
TRUE_NOTES = pa.schema(
    [
        ("note_id", pa.string()),
        ("topic", pa.string()),
        ("quality", pa.float64()),
        ("appeal", pa.float64()),
        *((harm, pa.bool_()) for harm in HARMS),
    ]
)
TRUE_CHURN = pa.schema(
    [
        ("user_id", pa.string()),
        ("as_of", INSTANT),
        ("here", pa.bool_()),
        ("session_rate", pa.float64()),
        ("leave_hazard", pa.float64()),
        ("churn_probability_30d", pa.float64()),
    ]
)


def ids(kind: str, numbers: Ints) -> Any:
    """Ids such as ``synthetic-u-0000012``; NONE becomes null."""
    digits = pc.utf8_lpad(pa.array(numbers, mask=numbers == NONE).cast(pa.string()), 7, "0")
    return pc.binary_join_element_wise(f"synthetic-{kind}-", digits, "")


def instants(start_at: datetime, ms: Ints, *, missing: Bools | None = None) -> Any:
    """UTC instants of milliseconds from the log's start; null where ``missing``."""
    us = int(start_at.timestamp()) * 1_000_000 + ms * 1_000
    return pa.array(us, mask=missing).cast(INSTANT)


def names(choices: Sequence[str], codes: Ints) -> Any:
    """The name of each code."""
    return pa.array(choices).take(pa.array(codes))


def events_table(block: Block, start_at: datetime, *, rows: slice, first_event: int) -> Any:
    """Some of the block's events, numbered from ``first_event`` in time order."""
    events = block.events.take(rows)
    columns = {
        "event_id": ids("e", first_event + np.arange(len(events.kind))),
        "user_id": ids("u", block.people.number).take(pa.array(events.person)),
        "event": names(KINDS, events.kind),
        "note_id": ids("n", events.note),
        "occurred_at": instants(start_at, events.at_ms),
        "value": pa.array(events.value, from_pandas=True),
        "target_user_id": ids("u", events.target),
        "session_id": ids("s", events.session),
    }
    return pa.table(columns, schema=EVENTS)


def notes_table(notes: Notes, texts: Sequence[Text], start_at: datetime) -> Any:
    """The notes as their readers see them."""
    columns = {
        "note_id": ids("n", notes.number),
        "author_id": ids("u", notes.author),
        "title": [text.title for text in texts],
        "body": [text.body for text in texts],
        "topics": [text.topics for text in texts],
        "category": [text.category for text in texts],
        "n_images": pa.array(notes.n_images),
        "published_at": instants(start_at, notes.published_ms),
    }
    return pa.table(columns, schema=NOTES)


def users_table(people: People, start_at: datetime) -> Any:
    """What the community knows of its users; followers as the log starts."""
    columns = {
        "user_id": ids("u", people.number),
        "registered_at": instants(start_at, people.registered_ms),
        "n_followers": pa.array(people.n_followers),
        "personalisation_opt_out": pa.array(people.personalisation_opt_out),
        "is_minor": pa.array(people.is_minor),
    }
    return pa.table(columns, schema=USERS)


def labels_table(labels: Labels, start_at: datetime) -> Any:
    """The reviewers' labels."""
    columns = {
        "note_id": ids("n", labels.note),
        "label": names(HARMS, labels.label),
        "value": pa.array(labels.value),
        "split": names(SPLITS, labels.split),
        "source": pa.repeat(SOURCE, len(labels.note)),
        "decided_at": instants(start_at, labels.decided_ms),
    }
    return pa.table(columns, schema=NOTE_LABELS)


def true_users_table(block: Block, start_at: datetime, *, n_days: int) -> Any:
    """What drives each user, and when they left and came back (null: not within the log)."""
    people, standing = block.people, block.standing
    left_at, returned_at = _absences(block, start_at, n_days=n_days)
    columns = {
        "user_id": ids("u", people.number),
        "tier": names(TIERS, people.tier),
        "habit": names(HABITS, people.habit),
        "session_rate": pa.array(people.session_rate),
        "base_mood": pa.array(people.base_mood),
        "mean_leave_hazard": pa.array(standing.hazard_sum / np.maximum(standing.n_days_here, 1)),
        "left_at": left_at,
        "returned_at": returned_at,
        "interests_change_at": instants(
            start_at, people.life_change_day * DAY_MS, missing=people.life_change_day == NEVER
        ),
        "interests": _rows(people.interests),
        "later_interests": _rows(people.next_interests),
    }
    return pa.table(columns, schema=TRUE_USERS)


def true_notes_table(notes: Notes, book: Phrasebook) -> Any:
    """What drives each note, and the harms that its text was written for."""
    harms = {harm: pa.array(notes.harms[:, column]) for column, harm in enumerate(HARMS)}
    columns = {
        "note_id": ids("n", notes.number),
        "topic": names(book.topic_names, notes.topic),
        "quality": pa.array(notes.quality),
        "appeal": pa.array(notes.appeal),
    }
    return pa.table(columns | harms, schema=TRUE_NOTES)


def true_churn_table(block: Block, start_at: datetime) -> Any:
    """The hidden causes of churn at several instants."""
    return pa.concat_tables([_forecast_table(block, forecast, start_at) for forecast in block.forecasts])


def _forecast_table(block: Block, forecast: Forecast, start_at: datetime) -> Any:
    columns = {
        "user_id": ids("u", block.people.number[forecast.person]),
        "as_of": instants(start_at, np.full(len(forecast.person), forecast.day * DAY_MS)),
        "here": pa.array(forecast.here),
        "session_rate": pa.array(forecast.session_rate),
        "leave_hazard": pa.array(forecast.leave_hazard),
        "churn_probability_30d": pa.array(forecast.churn_probability),
    }
    return pa.table(columns, schema=TRUE_CHURN)


def _absences(block: Block, start_at: datetime, *, n_days: int) -> tuple[Any, Any]:
    """Two lists a user, of equal length: instants of leaving and of returning."""
    person = np.concatenate([departure.person for departure in block.departures])
    left_ms = np.concatenate([departure.left_ms for departure in block.departures])
    back_day = np.concatenate([departure.back_day for departure in block.departures])
    order = np.argsort(person, kind="stable")  # departures are in time order already
    offsets = pa.array(np.searchsorted(person[order], np.arange(len(block.people) + 1)).astype(np.int32))
    back_day, left_ms = back_day[order], left_ms[order]
    left_at = instants(start_at, left_ms)
    returned_at = instants(start_at, back_day * DAY_MS, missing=back_day >= n_days)
    return pa.ListArray.from_arrays(offsets, left_at), pa.ListArray.from_arrays(offsets, returned_at)


def _rows(matrix: Floats) -> Any:
    """One list of float32 a row."""
    n_rows, n_columns = matrix.shape
    offsets = pa.array((np.arange(n_rows + 1) * n_columns).astype(np.int32))
    return pa.ListArray.from_arrays(offsets, pa.array(matrix.astype(np.float32).ravel()))

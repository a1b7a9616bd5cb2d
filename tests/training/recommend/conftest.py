"""Logs of a few steps by hand, and a small community in which most notes have a usual successor."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.sources import Dataset
from training.recommend.config import RecommendConfig
from training.recommend.recipe import RecommendTraining, train_recommender
from training.recommend.sequences import Sequences, read_sequences

START = datetime(2024, 1, 1, tzinfo=UTC)
N_USERS, N_NOTES = 240, 80

Event = tuple[str, str, str, int]
"""User, kind, note, and the minute."""


def write_events(folder: Path, events: Sequence[Event]) -> Path:
    users, kinds, notes, minutes = zip(*events, strict=True)
    table = {
        "event_id": [f"e{place}" for place in range(len(events))],
        "user_id": users,
        "event": kinds,
        "note_id": pa.array([note or None for note in notes], pa.string()),
        "occurred_at": pa.array([START + timedelta(minutes=minute) for minute in minutes], pa.timestamp("us", "UTC")),
    }
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(table), folder / "events.parquet")
    return folder


def open_folder(folder: Path) -> Dataset:
    return Dataset(folder, now=round(datetime(2025, 1, 1, tzinfo=UTC).timestamp() * 1_000_000))


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Sequence[Event]], Path]:
    """Writes events, with enough other users beside them that a log may be read."""
    others = [(f"other{user}", "like", f"o{step}", 1_000 + step) for user in range(50) for step in range(3)]
    return lambda events: write_events(tmp_path / "log", [*events, *others])


@pytest.fixture
def read(write: Callable[[Sequence[Event]], Path]) -> Callable[..., Sequences]:
    """Writes events and reads them as steps."""

    def run(events: Sequence[Event], kinds: Sequence[str] = RecommendConfig().events) -> Sequences:
        return read_sequences(open_folder(write(events)), kinds)

    return run


def community_events(rename: Callable[[int], str], last: str, late: str) -> list[Event]:
    """Users walk from a note to its successor, and now and then jump to one of the popular.

    One user sees every note first, so that notes keep their numbers whatever comes later. With ``last``, everybody
    else's last step is that note; with ``late``, every step in the log's last tenth is.
    """
    rng = np.random.default_rng(11)
    events: list[Event] = [("all", "like", rename(int(note)), 0) for note in rng.permutation(N_NOTES)]
    for user in range(N_USERS):
        note = int(rng.integers(N_NOTES))
        for step in range(n_steps := int(rng.integers(6, 16))):
            name = last if last and step == n_steps - 1 else rename(note)
            events.append((f"u{user}", "like", name, 1 + 20 * user + 10 * step))
            jump = int(N_NOTES * rng.random() ** 2)
            note = (note + 1) % N_NOTES if rng.random() < 0.7 or jump == note else jump
    end = sorted(minute for *_, minute in events)[int(len(events) * 0.9)]
    return [(user, kind, late if late and minute >= end else note, minute) for user, kind, note, minute in events]


@pytest.fixture(scope="session")
def community(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes such a log, of notes named as asked."""

    def write(rename: Callable[[int], str] = "n{:03}".format, last: str = "", late: str = "") -> Path:
        return write_events(tmp_path_factory.mktemp("walks"), community_events(rename, last, late))

    return write


@pytest.fixture(scope="session")
def walks(community: Callable[..., Path]) -> Path:
    """The folder of the log as it is."""
    return community()


@pytest.fixture(scope="session")
def train_on() -> Callable[..., RecommendTraining]:
    """Train on a folder."""

    def run(folder: Path, **changed: object) -> RecommendTraining:
        config = RecommendConfig.model_validate({"n_neighbours": 20, "sequence_model": "off", **changed})
        return train_recommender(config, read_sequences(open_folder(folder), config.events), lambda *step: None)

    return run


@pytest.fixture(scope="session")
def walked(train_on: Callable[..., RecommendTraining], walks: Path) -> RecommendTraining:
    """A model of the community."""
    return train_on(walks)


@pytest.fixture
def write_log(tmp_path: Path) -> Callable[[Sequence[Event]], Path]:
    """Writes events, and no other."""
    return lambda events: write_events(tmp_path / "log", events)

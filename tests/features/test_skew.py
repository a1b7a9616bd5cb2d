"""One definition of a feature, two places it runs: the offline table and the online answers are the same bits."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.schema import EVENT_KINDS, kind_code
from features.snapshots import EventLog, log_span
from features.sources import Dataset
from features.state import DAY_US, INSTANTS, PROFILE, Event, UserState, UserStates, thousandths
from features.user import CATALOGUE, compute_features

At: TypeAlias = Callable[[str], int]
Write: TypeAlias = Callable[[Path, Sequence[Mapping[str, Any]]], Path]

REAL_LOGS = Path(__file__).parents[2].parent / "shared" / "data"
N_INSTANTS = 100
USERS_PER_INSTANT = 10
FEATURES = tuple(CATALOGUE.values())


@pytest.fixture(params=["generated", "retail", "retailrocket"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, write: Write, at: At) -> Path:
    """A folder with an event log: a generated one anywhere, two real ones where they lie beside the checkout."""
    if request.param == "generated":
        return generated(tmp_path, write, first_at=at("2021-03-01"))
    if not (REAL_LOGS / request.param).is_dir():
        pytest.skip(f"no {REAL_LOGS / request.param}")
    return REAL_LOGS / str(request.param)


def generated(folder: Path, write: Write, *, first_at: int) -> Path:
    """200 users over three years, with many events right on or beside the edge of a community day."""
    rng = np.random.default_rng(11)
    eighths = rng.integers(0, 3 * 365 * 8, 6_000)
    beside = rng.choice([-1, 0, 1, 700_000_000], 6_000)
    rows = [
        {
            "event_id": f"e{place}",
            "user_id": f"用户{int(200 * rng.random() ** 2)}",
            "event": str(rng.choice([*EVENT_KINDS, "摇一摇"])),
            "occurred_at": datetime.fromtimestamp(instant / 1e6, UTC),
            "value": None if rng.random() < 0.3 else float(rng.integers(-1_000, 400_000)) / 2_000,
        }
        for place, instant in enumerate((first_at + eighths * (DAY_US // 8) + beside).tolist())
    ]
    write(folder / "events.parquet", rows)
    write(
        folder / "users.csv", [{"user_id": f"用户{n}", "registered_at": "2021-02-28T23:59:59.5Z"} for n in range(100)]
    )
    return folder


def histories(folder: Path) -> dict[str, list[Event]]:
    """Each user's events, read without anything that the offline side runs."""
    table = pq.read_table(folder / "events.parquet", columns=["user_id", "event", "occurred_at", "value"])
    instants = table["occurred_at"].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_pylist()
    columns = (table[name].to_pylist() for name in ("user_id", "event", "value"))
    events = defaultdict(list)
    for at, user, event, value in zip(instants, *columns, strict=True):
        events[user].append(Event(kind_code(event), at, thousandths(value)))
    return events


def online_state(registered_at: int, history: list[Event], as_of: int, rng: np.random.Generator) -> bytes:
    """The stored state of a user whose events before ``as_of`` arrived one by one in a random order."""
    state = UserState(registered_at=registered_at)
    seen = [event for event in history if event.at < as_of]
    for place in rng.permutation(len(seen)):
        state = state.fold([seen[place]])
    return state.encode()


def facts(states: UserStates) -> tuple[bytes, ...]:
    """All that states hold, bit for bit."""
    return tuple(getattr(states, name).tobytes() for name in (*INSTANTS, *PROFILE, "rows", "row_user"))


def test_online_answers_equal_the_offline_table_bit_for_bit(folder: Path, at: At) -> None:
    rng = np.random.default_rng(5)
    dataset, events = Dataset(folder, now=at("2100-01-01")), histories(folder)
    first_at = {user: min(event.at for event in history) for user, history in events.items()}
    first, end = log_span(dataset)
    eventful = np.unique([event.at for history in events.values() for event in history])[1:]
    half = N_INSTANTS // 2
    instants = [*rng.integers(first + 1, end, half).tolist(), *rng.choice(eventful, half, replace=False).tolist()]
    for snapshot in EventLog(dataset, instants).snapshots():
        as_of, ids, states = snapshot.as_of, snapshot.user_ids, snapshot.states
        assert set(ids) == {user for user, since in first_at.items() if since < as_of}
        offline = compute_features(FEATURES, states, as_of)
        asked = rng.integers(len(ids), size=USERS_PER_INSTANT)
        stored = [online_state(int(states.registered_at[user]), events[ids[user]], as_of, rng) for user in asked]
        online = compute_features(FEATURES, UserStates.decode(stored), as_of)
        assert online.tobytes() == offline[asked].tobytes()
        for user, one in zip(asked, stored, strict=True):
            assert facts(UserStates.decode([one])) == facts(states.take(slice(user, user + 1)))

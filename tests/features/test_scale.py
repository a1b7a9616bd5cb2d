"""Twenty million events pass through one machine in under 4 GB."""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

N_EVENTS = 20_000_000
N_USERS = 500_000
LIMIT_GIB = 4.0

# A few users do most; a user's events fall into a dozen half-hours of one year; three in ten are impressions.
GENERATE = """
import duckdb, sys
folder, n_events, n_users = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
duckdb.connect(config={"memory_limit": "2GB", "preserve_insertion_order": False}).execute(f'''
COPY (
    SELECT printf('%016x', hash(i, 1)) AS event_id, 'user-' || lpad(user::VARCHAR, 7, '0') AS user_id,
        ['impression', 'impression', 'impression', 'click', 'click', 'read', 'like', 'search', 'open', 'purchase']
            [1 + (hash(i, 2) % 10)::INTEGER] AS event,
        'note-' || (hash(i, 3) % 200000)::VARCHAR AS note_id,
        make_timestamptz((1700000000000000 + hash(user, i % 12) % (365 * 48) * 1800000000
            + hash(i, 4) % 1800000000)::BIGINT) AS occurred_at,
        CASE WHEN hash(i, 2) % 10 IN (5, 9) THEN (hash(i, 5) % 100000) / 100 END AS value
    FROM (SELECT i, floor({n_users} * pow(hash(i, 6) % 1000003 / 1000003, 2))::INTEGER AS user
        FROM range({n_events}) numbers(i))
) TO '{folder}/events.parquet' (FORMAT parquet)''')
"""

MEASURE = """
import json, resource, sys, time
from pathlib import Path
from features.snapshots import EventLog, log_span
from features.sources import Dataset

def lap(name):
    global since
    laps[name], since = round(time.monotonic() - since, 1), time.monotonic()

laps, since = {}, time.monotonic()
dataset = Dataset(Path(sys.argv[1]), now=2 * 10**15)
lap("check_s")
log = EventLog(dataset, [log_span(dataset)[1]])
lap("tallies_s")
(snapshot,) = log.snapshots()
lap("snapshot_s")
peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
counts = {"n_rows": dataset.summaries["events"].n_rows, "n_users": len(snapshot.user_ids),
          "n_tallied": int(snapshot.states.rows["n"].sum()), "n_tallies": len(snapshot.states.rows)}
print(json.dumps({**laps, "peak_gib": round(peak_gib, 2), **counts}))
"""


def run(script: str, *arguments: object) -> str:
    """What a fresh process printed: one of its own, so that its peak memory is nobody else's."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    root = Path(__file__).parents[2]
    return subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE, text=True).stdout


@pytest.mark.slow
def test_twenty_million_events_are_checked_and_aggregated_in_under_4_gb(capsys: pytest.CaptureFixture[str]) -> None:
    with TemporaryDirectory() as folder:
        run(GENERATE, folder, N_EVENTS, N_USERS)
        measured = json.loads(run(MEASURE, folder).splitlines()[-1])  # above it, DuckDB may draw its progress
    with capsys.disabled():
        print(f"\n20M events: {measured}")
    assert measured["peak_gib"] < LIMIT_GIB
    assert measured["n_rows"] == measured["n_tallied"] == N_EVENTS
    assert measured["n_users"] > 0.99 * N_USERS

"""What ``make demo`` runs: a synthetic community, a churn model trained on it, and the API that answers with it.

Everything it makes lies in ``var/``, and what is there is used again. It only calls the two command lines and the API,
as a person would.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import duckdb
from rich.console import Console

VAR: Final = Path("var")
SAMPLE: Final = VAR / "sample"
CHAMPION: Final = VAR / "bundles" / "churn" / "champion.json"
KEY: Final = VAR / "demo-key"
SENT: Final = VAR / "demo-users.json"
PORT: Final = int(os.environ.get("MINGJIAN_PORT", "8000"))
URL: Final = f"http://127.0.0.1:{PORT}"
N_DAYS: Final = 120
N_SENT: Final = 100
"""Users whose events are sent to the API: enough to look around."""
BATCH: Final = 1000
READY_TIMEOUT_S: Final = 30

console = Console(highlight=False)


def main() -> int:
    """Make what is missing, then serve until interrupted."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--users", type=int, default=5000, help="users of the sample community (default: 5000)")
    n_users = parser.parse_args().users
    for one in (signal.SIGINT, signal.SIGTERM):  # also where whoever started this ignores them
        signal.signal(one, signal.default_int_handler)
    try:
        make_model(n_users)
        key = make_key()
        with server() as running:
            send_events(key)
            show(key)
            return running.wait()
    except subprocess.CalledProcessError as error:
        console.print(f"[red]stopped:[/] {' '.join(map(str, error.cmd))} ended with status {error.returncode}")
        return 1
    except (TimeoutError, urllib.error.URLError) as error:
        console.print(
            f"[red]stopped:[/] {error}; what is in {VAR}/ may be of an earlier version: remove it and try again"
        )
        return 1
    except KeyboardInterrupt:
        return 0


def make_model(n_users: int) -> None:
    """Sample, train, promote and release, unless a champion is released already."""
    if CHAMPION.exists():
        console.print("using the model that is there")
        return
    start = datetime.now(UTC).date() - timedelta(days=N_DAYS)
    if not (SAMPLE / "users.parquet").exists():  # the file that is put in place last
        console.rule("1/4 a synthetic community")
        run("training", "sample", "--users", n_users, "--days", N_DAYS, "--start", start, "--out", SAMPLE)
    console.rule("2/4 training the churn model")
    run("training", "churn", "--data", SAMPLE, "--report", VAR / "reports" / "churn.json")
    console.rule("3/4 promoting and releasing it")
    run("training", "promote", "churn", "--data", SAMPLE, "--why", "the demo's first model")
    run("training", "release")


def make_key() -> str:
    """An API key that may send events and ask for scores, the same one every time."""
    if not KEY.exists():
        made = run("serving", "create-key", "--scopes", "score,ingest", "--label", "demo", capture=True)
        KEY.write_text(made.split()[-1], encoding="utf-8")
        KEY.chmod(0o600)
    return KEY.read_text(encoding="utf-8")


@contextmanager
def server() -> Iterator[subprocess.Popen[bytes]]:
    """The API, ready; it ends with the block."""
    console.rule("4/4 starting the API")
    log = (VAR / "serving.log").open("wb")
    running = subprocess.Popen(
        [sys.executable, "-m", "serving", "run", "--port", str(PORT)], stdout=log, stderr=subprocess.STDOUT
    )
    try:
        wait_until_ready(running)
        yield running
    finally:
        running.terminate()
        running.wait()
        log.close()


def wait_until_ready(running: subprocess.Popen[bytes]) -> None:
    """Return once /readyz says yes; CalledProcessError if the server ends before, TimeoutError if it takes too long."""
    for _ in range(READY_TIMEOUT_S * 10):
        if running.poll() is not None:
            console.print((VAR / "serving.log").read_text(encoding="utf-8")[-2000:], markup=False)
            raise subprocess.CalledProcessError(running.returncode, [*map(str, running.args)])
        try:
            urllib.request.urlopen(f"{URL}/readyz", timeout=1).close()
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.1)
        else:
            return
    console.print((VAR / "serving.log").read_text(encoding="utf-8")[-2000:], markup=False)
    raise TimeoutError(f"the server was not ready within {READY_TIMEOUT_S} s")


def send_events(key: str) -> None:
    """Send some users' events, once, and note who they are and when the sample ends."""
    if SENT.exists():
        return
    events = sample_events()
    with console.status(f"sending {len(events):,} events of {N_SENT} users"):
        for start in range(0, len(events), BATCH):
            call("POST", "/v1/events", key, {"events": events[start : start + BATCH]})
    ids = sorted({event["user_id"] for event in events})
    as_of = datetime.fromisoformat(events[-1]["occurred_at"]) + timedelta(seconds=1)
    SENT.write_text(json.dumps({"user_ids": ids, "as_of": as_of.isoformat()}), encoding="utf-8")


def sample_events() -> list[dict[str, Any]]:
    """All events of the users who were active in the sample's last fortnight, up to N_SENT of them."""
    sql = f"""
        WITH events AS (SELECT * FROM '{SAMPLE}/events.parquet'),
        chosen AS (
            SELECT user_id FROM events
            WHERE occurred_at > (SELECT max(occurred_at) FROM events) - INTERVAL 14 DAY
            GROUP BY user_id ORDER BY md5(user_id) LIMIT {N_SENT}
        )
        SELECT event_id, user_id, event, note_id, epoch_us(occurred_at) AS occurred_at, value
        FROM events SEMI JOIN chosen USING (user_id) ORDER BY occurred_at
    """
    found = duckdb.sql(sql)
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]
    for row in rows:
        row["occurred_at"] = datetime.fromtimestamp(row["occurred_at"] / 1e6, tz=UTC).isoformat()
    return rows


def show(key: str) -> None:
    """Say where everything is, and ask for three users' scores: the most and the least at risk, and one between.

    They are asked as of the sample's end: a demo started again weeks later finds the users as they were.
    """
    sent = json.loads(SENT.read_text(encoding="utf-8"))
    scored = [one for one in ask(key, sent)["results"] if one["status"] == "scored"]
    scored.sort(key=lambda one: one["churn"][-1]["probability"])
    question = {**sent, "user_ids": [scored[place]["user_id"] for place in (-1, len(scored) // 2, 0)]}
    console.rule("ready")
    console.print(f"API docs      {URL}/docs")
    console.print("MLflow pages  .venv/bin/mlflow ui --backend-store-uri sqlite:///var/mlflow/mlflow.db")
    console.print("\nAsk who is about to leave (the users are synthetic):\n")
    headers = f"-H 'X-API-Key: {key}' -H 'Content-Type: application/json'"
    console.print(f"curl -s {URL}/v1/users:score {headers} -d '{json.dumps(question)}'\n", soft_wrap=True)
    console.print_json(json.dumps(ask(key, question)))
    console.print("\nCtrl-C stops the server.")


def ask(key: str, question: dict[str, Any]) -> dict[str, Any]:
    """The answer to a question for scores."""
    return call("POST", "/v1/users:score", key, question)


def call(method: str, path: str, key: str, body: dict[str, Any]) -> dict[str, Any]:
    """One request to the API."""
    headers = {"X-API-Key": key, "Content-Type": "application/json"}
    request = urllib.request.Request(f"{URL}{path}", json.dumps(body).encode(), headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        answered: dict[str, Any] = json.load(answer)
        return answered


def run(module: str, *arguments: object, capture: bool = False) -> str:
    """Run one of the project's command lines; CalledProcessError where it fails."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE if capture else None)
    return done.stdout or ""


if __name__ == "__main__":
    sys.exit(main())

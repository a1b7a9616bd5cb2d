"""What ``make demo`` runs: a synthetic community, models trained on it, the API that answers with them, and a console.

Everything it makes lies in ``var/demo/``, apart from what a deployment keeps, and is used again. It only calls the two
command lines and the API, as a person would.
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

VAR: Final = Path("var/demo")
SAMPLE: Final = VAR / "sample"
BUNDLES: Final = VAR / "bundles"
KEY: Final = VAR / "demo-key"
SENT: Final = VAR / "demo-users.json"
PROFILES: Final = VAR / "demo-profiles"
NOTES: Final = VAR / "demo-notes.json"
REVIEWER: Final = VAR / "demo-reviewer"
SCORES: Final = VAR / "demo-scores"
PORT: Final = int(os.environ.get("MINGJIAN_PORT", "8000"))
CONFIGS: Final = Path(__file__).parent / "training" / "configs"
TASKS: Final = {
    "churn": "who is about to leave",
    "quality": "which notes need a person's eyes",
    "recommend": "what each user should see next",
}
URL: Final = f"http://127.0.0.1:{PORT}"
N_DAYS: Final = 120
N_SENT: Final = 1000
"""Users whose events are sent to the API: enough to look around."""
KPI_S: Final = 20
"""How often KPIs are rolled up: the board fills while one looks."""
_STORES: Final = ("MINGJIAN_BUNDLES_DIR", "MINGJIAN_JOURNAL_URL", "MINGJIAN_STATE_URL", "MLFLOW_TRACKING_URI")
ENVIRONMENT: Final = {
    "MINGJIAN_KPI_S": str(KPI_S),
    **{name: value for name, value in os.environ.items() if name not in _STORES},
    "MINGJIAN_DATA_DIR": str(VAR),
}
"""What the demo's commands see: no stores of a deployment, whatever this shell names."""
N_NOTES: Final = 1000
"""Notes that are sent: the newest."""
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
        make_models(n_users)
        key = make_key()
        with server() as running:
            send_events(key)
            send_profiles(key)
            send_notes(key)
            fill_lists(key)
            show(key, make_reviewer())
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


def make_models(n_users: int) -> None:
    """Sample, train, promote and release what is not released already."""
    missing = [task for task in TASKS if not (BUNDLES / task / "champion.json").exists()]
    if not missing:
        console.print("using the models that are there")
        return
    start = datetime.now(UTC).date() - timedelta(days=N_DAYS)
    if not (SAMPLE / "users.parquet").exists():  # the file that is put in place last
        console.rule("a synthetic community")
        run("training", "sample", "--users", n_users, "--days", N_DAYS, "--start", start, "--out", SAMPLE)
    for task in missing:
        console.rule(TASKS[task])
        config = CONFIGS / f"{task}.toml"
        options = ["--config", config] if config.exists() else []
        run("training", task, "--data", SAMPLE, *options, "--report", VAR / "reports" / f"{task}.json")
        run("training", "promote", task, "--data", SAMPLE, *options, "--why", "the demo's first model")
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
    console.rule("starting the API")
    log = (VAR / "serving.log").open("wb")
    command = [sys.executable, "-m", "serving", "run", "--port", str(PORT)]
    running = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=ENVIRONMENT)
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
    return rows_of(sql, instant="occurred_at")


def rows_of(sql: str, *, instant: str) -> list[dict[str, Any]]:
    """The rows of a query, whose column ``instant`` holds microseconds, as JSON has them."""
    found = duckdb.sql(sql)
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]
    for row in rows:
        row[instant] = datetime.fromtimestamp(row[instant] / 1e6, tz=UTC).isoformat()
    return rows


def send_profiles(key: str) -> None:
    """Send the profiles of the same users, once."""
    if PROFILES.exists():
        return
    profiles = rows_of(
        f"""
        SELECT user_id, n_followers, personalisation_opt_out, is_minor, epoch_us(registered_at) AS registered_at
        FROM '{SAMPLE}/users.parquet' WHERE user_id IN (SELECT unnest(user_ids) FROM '{SENT}')
        """,
        instant="registered_at",
    )
    with console.status(f"sending {len(profiles)} profiles"):
        for one in profiles:
            call("PUT", f"/v1/users/{one.pop('user_id')}", key, one)
    PROFILES.touch()


def send_notes(key: str) -> None:
    """Send the newest notes, once, and note which."""
    if NOTES.exists():
        return
    notes = rows_of(
        f"""
        SELECT note_id, title, body, author_id, topics, category, n_images, epoch_us(published_at) AS published_at
        FROM '{SAMPLE}/notes.parquet' ORDER BY published_at DESC, note_id LIMIT {N_NOTES}
        """,
        instant="published_at",
    )
    with console.status(f"sending {len(notes)} notes"):
        for note in notes:
            call("PUT", f"/v1/notes/{note['note_id']}", key, {k: v for k, v in note.items() if k != "note_id"})
    NOTES.write_text(json.dumps([note["note_id"] for note in notes]), encoding="utf-8")


def fill_lists(key: str) -> None:
    """Score everyone and every note for the lists, and assign actions, once."""
    if SCORES.exists():
        return
    run("serving", "score-all", "--out", SCORES)
    user_ids = json.loads(SENT.read_text(encoding="utf-8"))["user_ids"]
    call("POST", "/v1/actions:assign", key, {"batch_id": "demo", "user_ids": user_ids})


def make_reviewer() -> str:
    """How to sign in to the console; the password is shown this once."""
    if REVIEWER.exists():
        return f"as demo (MINGJIAN_DATA_DIR={VAR} python -m serving reset-reviewer --name demo gives a new password)"
    password = run("serving", "create-reviewer", "--name", "demo", "--role", "admin", capture=True).strip()
    REVIEWER.touch()
    return f"as demo, password {password} (shown this once)"


def show(key: str, reviewer: str) -> None:
    """Say where everything is, and ask about a few notes and users.

    Users are asked about as of the sample's end: a demo started again weeks later finds them as they were.
    """
    console.rule("ready")
    console.print(f"Console       {URL}/console {reviewer}")
    console.print(f"API docs      {URL}/docs")
    console.print(f"MLflow pages  .venv/bin/mlflow ui --backend-store-uri sqlite:///{VAR}/mlflow/mlflow.db")
    console.print("\nAsk which notes need a person's eyes (they are synthetic):\n")
    show_answer(key, "/v1/notes:score", extreme_notes(key))
    console.print("\nAsk who is about to leave (the users are synthetic):\n")
    asked = extreme_users(key)
    show_answer(key, "/v1/users:score", asked)
    console.print("\nAsk what one of them should see next:\n")
    show_answer(key, "/v1/recommendations", {"user_id": asked["user_ids"][-1], "limit": 3, "as_of": asked["as_of"]})
    console.print("\nCtrl-C stops the server.")


def extreme_users(key: str) -> dict[str, Any]:
    """A question about the users most and least at risk, and one between."""
    sent = json.loads(SENT.read_text(encoding="utf-8"))
    scored = [one for one in call("POST", "/v1/users:score", key, sent)["results"] if one["status"] == "scored"]
    scored.sort(key=lambda one: one["churn"][-1]["probability"])
    return {**sent, "user_ids": [scored[place]["user_id"] for place in (-1, len(scored) // 2, 0)]}


def extreme_notes(key: str) -> dict[str, Any]:
    """A question about the best of the notes and the worst."""
    asked = [{"note_id": note_id} for note_id in json.loads(NOTES.read_text(encoding="utf-8"))[:200]]
    scored = [one for one in call("POST", "/v1/notes:score", key, {"notes": asked})["results"] if one["labels"]]
    scored.sort(key=lambda one: one["quality"])
    return {"notes": [{"note_id": scored[place]["note_id"]} for place in (0, -1)]}


def show_answer(key: str, path: str, question: dict[str, Any]) -> None:
    """The question as a command to try, and its answer."""
    headers = f"-H 'X-API-Key: {key}' -H 'Content-Type: application/json'"
    console.print(f"curl -s {URL}{path} {headers} -d '{json.dumps(question)}'\n", soft_wrap=True)
    console.print_json(json.dumps(call("POST", path, key, question)))


def call(method: str, path: str, key: str, body: dict[str, Any]) -> dict[str, Any]:
    """One request to the API."""
    headers = {"X-API-Key": key, "Content-Type": "application/json"}
    request = urllib.request.Request(f"{URL}{path}", json.dumps(body).encode(), headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        answered: dict[str, Any] = json.load(answer)
        return answered


def run(module: str, *arguments: object, capture: bool = False) -> str:
    """Run one of the project's command lines; CalledProcessError where it fails."""
    home = ["--home", VAR] if module == "training" else []
    command = [sys.executable, "-m", module, *map(str, [*home, *arguments])]
    done = subprocess.run(command, check=True, text=True, env=ENVIRONMENT, stdout=subprocess.PIPE if capture else None)
    return done.stdout or ""


if __name__ == "__main__":
    sys.exit(main())

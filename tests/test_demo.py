"""What a newcomer gets, whole: sample, train, promote, release, serve, send, score."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def demo(folder: Path) -> tuple[str, float]:
    """Run the demo below ``folder`` until its live answer is shown; what it printed and how long it took."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MINGJIAN_PORT": str(port), "COLUMNS": "400"}
    command = [sys.executable, str(ROOT / "demo.py"), "--users", "1500"]
    started, shown = time.monotonic(), ""
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        for line in running.stdout:
            shown += line
            if "Ctrl-C" in line:
                break
        took_s = time.monotonic() - started
        running.send_signal(signal.SIGINT)
    return shown, took_s


@pytest.mark.slow
@pytest.mark.timeout(1200)  # it trains three models
def test_the_demo_ends_with_a_live_score_and_starts_again_in_seconds(tmp_path: Path) -> None:
    first, _ = demo(tmp_path)
    again, took_s = demo(tmp_path)
    for shown in (first, again):
        notes, users, feed = map(json.loads, re.findall(r"^\{.*?^\}", shown, re.MULTILINE | re.DOTALL))
        worst, best = (one["quality"] for one in notes["results"])
        assert 0 <= worst < best <= 100
        assert {label["label"] for label in notes["results"][0]["labels"]} >= {"spam", "clickbait"}
        probabilities = [one["churn"][-1]["probability"] for one in users["results"]]
        assert probabilities == sorted(probabilities, reverse=True)
        assert all(0 < probability < 1 for probability in probabilities)
        assert len(feed["results"]) == 3
        assert all(one["reasons"][0]["zh"] for one in feed["results"])
        assert [one["model"]["version"] for one in (notes, users, feed)] == ["1", "1", "1"]
    assert re.search(r"/console as demo, password \S{12}", first)
    assert "password" not in again.partition("reset-reviewer")[0]
    assert "using the models that are there" in again
    assert took_s < 30

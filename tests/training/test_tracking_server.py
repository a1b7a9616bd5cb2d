"""A model's life against a served MLflow: runs, versions, aliases and bundles over HTTP, nothing on a shared disk."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from training.tracking import Registry

START_TIMEOUT_S = 120


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an MLflow server with a database and artefacts of its own."""
    folder, url = tmp_path_factory.mktemp("server"), f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", url.rpartition(":")[2]]
    stores = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "files")]
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen(
            [*command, *stores, "--workers", "1"], cwd=folder, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_until_healthy(url, running, folder / "log")
        yield url
    finally:
        with suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGTERM)
        running.wait(30)


def wait_until_healthy(url: str, running: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(START_TIMEOUT_S * 5):
        assert running.poll() is None, log.read_text(encoding="utf-8")
        with suppress(OSError), urllib.request.urlopen(f"{url}/health", timeout=1) as answer:
            assert answer.status == 200
            return
        time.sleep(0.2)
    raise TimeoutError(log.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_a_model_lives_in_a_served_registry(
    live: Callable[[list[str], Registry], None], server: str, tmp_path: Path
) -> None:
    home = tmp_path / "var"
    live(["--home", str(home), "--registry", server], Registry(server, home / "mlflow"))
    assert not [path for path in home.rglob("*") if path.is_file()]  # all of it went over HTTP

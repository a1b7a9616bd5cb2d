"""Servers in processes of their own, pinned to one core; the load comes from the other."""

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CORES: Final = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = CORES[0], CORES[-1]
READY_TIMEOUT_S: Final = 60


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: where it listens, and how long it took to say that it is ready."""

    process: subprocess.Popen[bytes]
    port: int
    ready_s: float

    def rss_mb(self) -> float:
        """Resident memory of the process and its children."""
        return sum(_rss_kb(pid) for pid in _family(self.process.pid)) / 1024

    def cpu_s(self) -> float:
        """CPU time that the process and its children have used."""
        return sum(_cpu_ticks(pid) for pid in _family(self.process.pid)) / os.sysconf("SC_CLK_TCK")


@contextmanager
def running(
    command: Sequence[str], *, port: int, ready: str, log: Path, env: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """A server, once ``ready`` answers 200; it ends with the block."""
    started = time.perf_counter()
    pinned = ["taskset", "--cpu-list", str(SERVER_CORE), *command]
    with log.open("wb") as out:
        process = subprocess.Popen(pinned, env={**os.environ, **(env or {})}, stdout=out, stderr=subprocess.STDOUT)
    try:
        _wait(process, f"http://127.0.0.1:{port}{ready}", log)
        yield Server(process, port, time.perf_counter() - started)
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    """A port of loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    for _ in range(READY_TIMEOUT_S * 50):
        if process.poll() is not None:
            break
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"no server at {url}:\n{log.read_text(errors='replace')[-2000:]}")


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in _family(int(child)))]


def _rss_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), 0)


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])

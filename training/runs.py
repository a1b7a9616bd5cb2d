"""A finished run, whatever the task: its report on disk, its record and version in the registry."""

import csv
import io
import json
import math
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from models.bundle import Bundle
from training.errors import GateError
from training.gates import Gate
from training.tracking import Registry, RunRecord, Version


class Run(Protocol):
    """A model that was trained and judged; its bundle is written and not yet registered."""

    @property
    def gates(self) -> Sequence[Gate]:
        """What was demanded of it."""
        ...

    @property
    def report(self) -> Mapping[str, Any]:
        """The figures as JSON values."""
        ...

    @property
    def bundle(self) -> Bundle:
        """What would be released."""
        ...

    def record(self) -> RunRecord:
        """What the run leaves in the registry."""
        ...


def register(run: Run, registry: Registry, bundles: Path) -> Version:
    """Log the run and register its bundle as the challenger; GateError, with the run logged, where a gate failed."""
    record = run.record()
    run_id = registry.log_run(record)
    if failed := [str(gate) for gate in run.gates if not gate.passed]:
        raise GateError("; ".join(failed))
    return registry.register(record.task, run_id, bundles / run.bundle.digest, run.report["gates"])


def write_report(report: Mapping[str, Any], file: Path) -> None:
    """The report as JSON."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(to_json(report), encoding="utf-8")


def unfinished(task: str, figures: str, why: str) -> dict[str, Any]:
    """The report of a run that came to no model; ``figures`` is the key under which there would be some."""
    return {"task": task, figures: {}, "gates": {"passed": False}, "error": why}


def to_json(report: Mapping[str, Any]) -> str:
    """JSON text; what is not a number becomes null."""
    return json.dumps(_finite(report), indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def to_csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Rows as CSV under the keys of the first."""
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=rows[0].keys())
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def code_revision() -> str:
    """``MINGJIAN_REVISION``, else the git commit (with ``+`` where files differ from it), else ``unknown``."""
    if revision := os.environ.get("MINGJIAN_REVISION"):
        return revision
    command = [
        "git",
        "-C",
        str(Path(__file__).parent),
        "describe",
        "--always",
        "--dirty=+",
        "--abbrev=40",
        "--exclude=*",
    ]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

"""The same LightGBM model behind MLServer, behind ``mlflow models serve`` and behind our own API.

Each peer lives in an environment of its own below ``var/bench``, from PyPI, with the settings its documentation gives
for a single model: MLServer without its worker processes, which cost it time on one core.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.load import Target, closed_loop
from benchmarks.servers import Server, free_port, running
from benchmarks.world import HOME, SAMPLE, World
from features.sources import Dataset
from models.bundle import GOLDEN, MODEL, Golden, write_bundle
from models.churn.graph import churn_graph
from models.churn.scorer import INPUT, OUTPUT, ChurnSettings
from models.pointer import Pointer, write_pointer
from training.churn.config import ChurnConfig
from training.churn.recipe import ChurnTraining, train_churn

PEER: Final = HOME / "peer"
PACKAGES: Final = {
    "mlserver": ["mlserver==1.7.1", "mlserver-lightgbm==1.7.1", "lightgbm==4.7.0"],
    "mlflow": ["mlflow==3.17.2", "lightgbm==4.7.0"],
}
_SAVE_FOR_MLFLOW: Final = """
import sys, lightgbm, mlflow.lightgbm
mlflow.lightgbm.save_model(lightgbm.Booster(model_file=sys.argv[1]), sys.argv[2], pip_requirements=["lightgbm"])
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """A running server of the model, and how to ask it for one row."""

    server: Server
    target: Target


@contextmanager
def peers(world: World) -> Iterator[dict[str, Peer]]:
    """All of them, by name, running on the same core."""
    _require_environments()
    if not (PEER / "rows.json").exists():
        _make_model()
    rows = json.loads((PEER / "rows.json").read_text())
    with ExitStack() as stack:
        yield {
            "Mingjian": stack.enter_context(_mingjian(world, rows)),
            "MLServer": stack.enter_context(_mlserver(rows)),
            "mlflow models serve": stack.enter_context(_mlflow(rows)),
        }


def _infer(rows: Sequence[Sequence[float]], name: str) -> list[dict[str, Any]]:
    """Requests of the Open Inference Protocol, a row each."""
    return [{"inputs": [{"name": name, "shape": [1, len(row)], "datatype": "FP32", "data": row}]} for row in rows]


@contextmanager
def _mingjian(world: World, rows: Sequence[Sequence[float]]) -> Iterator[Peer]:
    with world.server(bundles=PEER / "bundles") as (server, key):
        headers = {"X-API-Key": key}
        target = Target(server.port, "/v2/models/churn/infer", _infer(rows, INPUT), headers)
        if set(closed_loop(target, connections=1, seconds=0.1).statuses) == {404}:  # a version without the protocol
            bodies = [{"user_ids": [user_id]} for user_id in world.user_ids]
            target = Target(server.port, "/v1/users:score", bodies, headers)
        yield Peer(server, target)


@contextmanager
def _mlserver(rows: Sequence[Sequence[float]]) -> Iterator[Peer]:
    port, folder = free_port(), PEER / "mlserver"
    folder.mkdir(exist_ok=True)
    (folder / "settings.json").write_text(
        json.dumps(
            {
                "http_port": port,
                "grpc_port": free_port(),
                "metrics_port": free_port(),
                "host": "127.0.0.1",
                "parallel_workers": 0,
            }
        )
    )
    model = {
        "name": "churn",
        "implementation": "mlserver_lightgbm.LightGBMModel",
        "parameters": {"uri": str((PEER / "model.bst").resolve())},
    }
    (folder / "model-settings.json").write_text(json.dumps(model))
    command = [str(_bin("mlserver") / "mlserver"), "start", str(folder)]
    ready = "/v2/models/churn/ready"
    with running(command, port=port, ready=ready, log=HOME / "mlserver.log") as server:
        yield Peer(server, Target(port, "/v2/models/churn/infer", _infer(rows, "features")))


@contextmanager
def _mlflow(rows: Sequence[Sequence[float]]) -> Iterator[Peer]:
    folder, port = PEER / "mlflow", free_port()
    if not folder.exists():
        command = [str(_bin("mlflow") / "python"), "-c", _SAVE_FOR_MLFLOW, str(PEER / "model.bst"), str(folder)]
        subprocess.run(command, check=True)
    command = [str(_bin("mlflow") / "mlflow"), "models", "serve", "-m", str(folder), "--env-manager", "local"]
    env = {"PATH": f"{_bin('mlflow').resolve()}:/usr/bin:/bin", "PYTHONPATH": ""}
    arguments = ["--port", str(port), "--workers", "1"]
    with running([*command, *arguments], port=port, ready="/ping", log=HOME / "mlflow.log", env=env) as server:
        yield Peer(server, Target(port, "/invocations", [{"inputs": [row]} for row in rows]))


def _require_environments() -> None:
    for name, packages in PACKAGES.items():
        if not (HOME / name / "complete").exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(HOME / name)], check=True)
            subprocess.run([str(_bin(name) / "pip"), "install", "--quiet", *packages], check=True)
            (HOME / name / "complete").touch()


def _bin(name: str) -> Path:
    return HOME / name / "bin"


def _make_model() -> None:
    """A LightGBM model of one horizon as its own file and, alone, as a bundle; and users' features to ask about."""
    config = ChurnConfig(horizon_days=(30,))
    with_data = train_churn(config, Dataset(SAMPLE, now=2**62), lambda *_: None)
    _write_bundle(with_data)
    with_data.model.fits[0].booster.save_model(str(PEER / "model.bst"))
    rows = np.nan_to_num(with_data.test_rows.features[:500]).tolist()  # JSON has no NaN
    (PEER / "rows.json").write_text(json.dumps(rows))


def _write_bundle(training: ChurnTraining) -> None:
    fit, names = training.model.fits[0], tuple(feature.name for feature in training.model.features)
    settings = ChurnSettings(names, (30,), active_days=30, thresholds=(0.5,))
    alone = replace(fit.exportable(), tree_weight=1.0, slope=1.0, intercept=0.0)
    features = np.nan_to_num(training.test_rows.features[:8])
    expected = np.asarray(fit.booster.predict(features), np.float32)[:, None]
    files = {
        MODEL: churn_graph([alone]).SerializeToString(),
        GOLDEN: Golden({INPUT: features}, {OUTPUT: expected}).encode(),
    }
    bundle = write_bundle(PEER / "bundles/churn", settings.contract(), files)
    write_pointer(PEER / "bundles", "churn", "champion", Pointer(bundle.digest, "1", "2026-01-01T00:00:00Z"))

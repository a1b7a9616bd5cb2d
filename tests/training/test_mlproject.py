"""The MLproject: its commands are commands of training, and ``mlflow run`` executes them."""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from models.bundle import read_bundle
from models.pointer import parse_pointer
from training.__main__ import main
from training.tracking import CHAMPION, Registry

ROOT = Path(__file__).parents[2]
PROJECT = yaml.safe_load((ROOT / "mlflow" / "MLproject").read_text(encoding="utf-8"))
ENTRY_POINTS: dict[str, Any] = PROJECT["entry_points"]


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_an_entry_point_runs_a_command_of_training_from_the_root(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[argparse.Namespace] = []
    parse_args = argparse.ArgumentParser.parse_args

    def parse_and_stop(self: argparse.ArgumentParser, arguments: list[str]) -> argparse.Namespace:
        parsed.append(parse_args(self, arguments))
        raise KeyboardInterrupt

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_and_stop)
    entry = ENTRY_POINTS[name]
    defaults = {key: shlex.quote(str(one["default"])) for key, one in entry.get("parameters", {}).items()}
    go, command = entry["command"].format(**defaults).split(" && ")
    assert go == "cd .."
    python, option, module, *arguments = shlex.split(command)
    assert (python, option, module, arguments[0]) == ("python", "-m", "training", name)
    with pytest.raises(KeyboardInterrupt):
        main(arguments)
    assert parsed[0].run.__name__ == name


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of what the commands need, so that they write to a ``var`` of their own."""
    for folder in ("features", "models", "training", "mlflow"):
        shutil.copytree(ROOT / folder, tmp_path / "project" / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "project"


@pytest.mark.slow
def test_mlflow_run_executes_every_entry_point(project: Path, community: Path) -> None:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "MLFLOW_TRACKING_URI": f"sqlite:///{project}/mlflow.db",
    }

    def run(name: str, **parameters: object) -> None:
        given = [word for key, value in parameters.items() for word in ("-P", f"{key}={value}")]
        command = ["mlflow", "run", "mlflow", "--env-manager", "local", "-e", name, *given]
        subprocess.run(command, cwd=project, env=environment, check=True)

    run("sample", users=30, days=20, out="var/sample")
    run("churn", data=community, report="var/report.json")
    run("promote", data=community, why="because it is better; rm -rf nothing")
    run("release")
    assert (project / "var/sample/events.parquet").exists()
    assert (project / "var/report.json").exists()
    pointer = parse_pointer((project / "var/bundles/churn/champion.json").read_text(encoding="utf-8"))
    read_bundle(project / "var/bundles/churn" / pointer.digest)
    registry = Registry(environment["MLFLOW_TRACKING_URI"], project / "var/mlflow")
    (move,) = registry.moves(registry.find("churn", CHAMPION))
    assert move.why == "because it is better; rm -rf nothing"

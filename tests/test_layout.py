"""The traps of this layout: names that other packages could take, imports that must not be, what the image holds."""

import importlib.metadata
import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("features", "models", "serving", "training")
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
HEAVY = {"torch", "transformers", "lightgbm", "mlflow", "pandas", "sklearn", "scipy", "duckdb", "pyarrow", "onnx"}


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_is_the_one_at_the_root_and_no_other_distributions(name: str) -> None:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin == str(ROOT / name / "__init__.py")
    assert set(importlib.metadata.packages_distributions()[name]) == {"mingjian"}


def test_the_folder_mlflow_does_not_hide_the_package() -> None:
    assert not list((ROOT / "mlflow").rglob("*.py"))
    mlflow = importlib.import_module("mlflow")
    assert hasattr(mlflow, "log_metric")  # an empty namespace would import too
    assert ROOT / "mlflow" not in Path(mlflow.__file__).parents


def test_no_folder_of_tests_is_a_package() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py"))


def loaded_by(*modules: str) -> set[str]:
    """Which packages a fresh interpreter has loaded after importing some modules."""
    program = f"import json, sys, {', '.join(modules)}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True)
    return {name.partition(".")[0] for name in json.loads(done.stdout)}


def test_what_serves_starts_without_the_training_libraries() -> None:
    assert (
        loaded_by(
            "serving.app",
            "serving.__main__",
            "models.churn.scorer",
            "models.recommend.scorer",
            "features.text.signals",
            "features.similarity",
        )
        & {*HEAVY, "training"}
        == set()
    )


def test_the_training_commands_start_without_mlflow() -> None:
    assert "mlflow" not in loaded_by("training.__main__")  # it takes seconds to import


def stages() -> dict[str, list[str]]:
    """The instructions of each stage of the Dockerfile."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    _, *parts = re.split(r"^FROM \S+ AS ", text, flags=re.MULTILINE)
    return {name: lines for name, *lines in map(str.splitlines, parts)}


def test_the_image_copies_what_exists_and_is_not_ignored() -> None:
    sent = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] == "!"}
    copied = [line.split()[1:-1] for lines in stages().values() for line in lines if line.startswith("COPY")]
    for source in (one for sources in copied for one in sources):
        assert (ROOT / source).exists()
        assert source in sent


@pytest.mark.parametrize(("stage", "package"), [("serve", "serving"), ("train", "training")])
def test_a_stage_installs_copies_and_runs_its_package(stage: str, package: str) -> None:
    lines = stages()[stage]
    assert f"COPY {package} {package}" in lines
    extra = next(one for line in lines for one in re.findall(r"pip install \"\.\[(\w+)\]\"", line))
    assert extra in PYPROJECT["project"]["optional-dependencies"]
    run = next(line for line in lines if line.startswith(("CMD", "ENTRYPOINT")))
    assert json.loads(run.partition(" ")[2])[:3] == ["python", "-m", package]
    assert (ROOT / package / "__main__.py").exists()


def requirements() -> dict[str, list[str]]:
    project = PYPROJECT["project"]
    return {"": project["dependencies"], **project["optional-dependencies"]}


def test_every_version_is_pinned() -> None:
    pinned = re.compile(r"[A-Za-z0-9._-]+(\[[a-z]+\])?==[0-9][0-9.]*|mingjian\[[a-z,]+\]")
    assert [one for needed in requirements().values() for one in needed if not pinned.fullmatch(one)] == []


def test_a_library_has_one_version() -> None:
    versions = {tuple(one.split("==")) for needed in requirements().values() for one in needed if "==" in one}
    assert len({name for name, _ in versions}) == len(versions)


def test_torch_is_needed_for_text_alone() -> None:
    extras = [extra for extra, needed in requirements().items() if any(one.startswith("torch==") for one in needed)]
    assert extras == ["text"]


def test_data_files_of_packages_are_packaged() -> None:
    patterns = PYPROJECT["tool"]["setuptools"]["package-data"]
    for package in PACKAGES:
        packaged = {file for pattern in patterns.get(package, []) for file in (ROOT / package).glob(pattern)}
        files = {file for file in (ROOT / package).rglob("*") if file.is_file() and "__pycache__" not in file.parts}
        assert {file for file in files if file.suffix not in {".py", ".typed"}} <= packaged

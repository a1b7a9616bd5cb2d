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
    assert any(f"-r requirements/{stage}.txt" in line for line in lines)
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


LOCKED = {
    "serve": ["serve"],
    "explain": ["serve", "explain"],
    "console": ["serve", "explain", "oidc"],
    "batch": ["serve", "batch"],
    "train": ["train"],
    "text": ["train", "text"],
    "dev": ["dev"],
}
"""By lock file, the extras it holds."""


def locked(name: str) -> dict[str, str]:
    """The versions of a lock file; each of its packages has a hash, and it names no host."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    entries = re.findall(r"^([a-z0-9._-]+)(?:\[[a-z,]+\])?==(\S+)([^#]*?(?=^\S|\Z))", text, flags=re.MULTILINE)
    assert all("--hash=sha256:" in rest for _, _, rest in entries)
    assert "://" not in text
    return {package: version for package, version, _ in entries}


def pinned(extra: str) -> dict[str, str]:
    """What an extra pins, and those that it is made of."""
    pins: dict[str, str] = {}
    for one in (*requirements()[""], *requirements()[extra]):
        if one.startswith("mingjian["):
            for inner in one.partition("[")[2].rstrip("]").split(","):
                pins |= pinned(inner)
        else:
            package, _, version = re.sub(r"\[.*\]", "", one).partition("==")
            pins[package.lower()] = version
    return pins


@pytest.mark.parametrize("name", LOCKED)
def test_a_lock_file_holds_what_its_extras_pin(name: str) -> None:
    wanted = {package: version for extra in LOCKED[name] for package, version in pinned(extra).items()}
    torch = wanted.pop("torch", None)  # in files of its own, for there are two builds of it
    assert wanted.items() <= locked(name).items()
    if torch:
        builds = {locked("torch-cuda")["torch"], locked("torch-cpu")["torch"].removesuffix("+cpu")}
        assert builds == {torch}


def test_a_package_has_one_version_in_all_lock_files() -> None:
    versions = {pair for name in LOCKED for pair in locked(name).items()}
    assert len({package for package, _ in versions}) == len(versions)


def test_images_are_made_of_a_fixed_image_and_of_locked_packages() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    bases = [one for one in re.findall(r"^FROM (\S+)", text, flags=re.MULTILINE) if one not in stages()]
    assert all(re.fullmatch(r"\S+@sha256:[0-9a-f]{64}", one) for one in bases)
    installs = [line for line in text.splitlines() if "pip install" in line and "LOCKED=" not in line]
    assert all("pip install --no-deps --no-build-isolation ." in line for line in installs)


@pytest.mark.slow
@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_every_pinned_version_has_a_wheel_for_each_python(version: str) -> None:
    """By a resolver that may build nothing but jieba, which only the tests use."""
    assert f"Programming Language :: Python :: {version}" in PYPROJECT["project"]["classifiers"]
    wanted = ["--python-version", version, "--python-platform", "x86_64-manylinux_2_28"]
    wheels = ["--only-binary", ":all:", "--no-binary", "jieba"]
    command = [Path(sys.executable).with_name("uv"), "pip", "compile", "--quiet", "pyproject.toml", "--extra", "dev"]
    done = subprocess.run([*command, "--extra", "explain", *wanted, *wheels], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_torch_is_needed_for_text_alone() -> None:
    extras = [extra for extra, needed in requirements().items() if any(one.startswith("torch==") for one in needed)]
    assert extras == ["text"]


def test_data_files_of_packages_are_packaged() -> None:
    patterns = PYPROJECT["tool"]["setuptools"]["package-data"]
    for package in PACKAGES:
        packaged = {file for pattern in patterns.get(package, []) for file in (ROOT / package).glob(pattern)}
        files = {file for file in (ROOT / package).rglob("*") if file.is_file() and "__pycache__" not in file.parts}
        assert {file for file in files if file.suffix not in {".py", ".typed"}} <= packaged

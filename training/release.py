"""The release agent: copies what an alias names in the registry to the folder that serving watches."""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from models.bundle import Bundle, read_bundle
from models.pointer import ROLES, Pointer, parse_pointer, pointer_path, write_pointer
from training.errors import ReleaseError
from training.tracking import Registry, Version

TASKS: Final = ("churn",)
KEPT: Final = 5
"""Bundles kept per model, the released ones always among them; older folders are removed."""


@dataclass(frozen=True, slots=True)
class Release:
    """A slot that was pointed at a version."""

    task: str
    role: str
    version: Version


def release(registry: Registry, folder: Path) -> list[Release]:
    """Point each slot below ``folder`` at what its alias names now; returns the slots that changed.

    A bundle is verified before its pointer moves: BundleError leaves the slot as it was.
    """
    changed = []
    for task in TASKS:
        for role in ROLES:
            version = registry.find(task, role)
            if version and not _points_at(folder, task, role, version):
                _release_one(registry, folder, role, version)
                changed.append(Release(task, role, version))
        _remove_old(folder / task)
    return changed


def fetch(registry: Registry, version: Version, folder: Path) -> Bundle:
    """A version's bundle, verified, below ``folder``/<task>; downloads it unless it is there."""
    path = folder / version.task / version.digest
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".staging-") as staging:
            downloaded = registry.download(version, Path(staging))
            read_bundle(downloaded)
            downloaded.rename(path)
    return read_bundle(path)


def require(registry: Registry, task: str, alias: str) -> Version:
    """The version an alias names; ReleaseError where there is none."""
    if (version := registry.find(task, alias)) is None:
        raise ReleaseError(f"the registry has no {task} version with the alias {alias}")
    return version


def _release_one(registry: Registry, folder: Path, role: str, version: Version) -> None:
    bundle = fetch(registry, version, folder)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    write_pointer(folder, version.task, role, Pointer(bundle.digest, version.number, now, version.gates))


def _points_at(folder: Path, task: str, role: str, version: Version) -> bool:
    path = pointer_path(folder, task, role)
    if not path.exists():
        return False
    pointer = parse_pointer(path.read_text(encoding="utf-8"))
    return (pointer.digest, pointer.version) == (version.digest, version.number)


def _remove_old(folder: Path) -> None:
    if not folder.exists():
        return
    used = set(_pointed(folder))
    bundles = sorted((path for path in folder.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
    for path in [path for path in bundles if path.name not in used][: -KEPT or None]:
        shutil.rmtree(path)


def _pointed(folder: Path) -> Iterator[str]:
    for role in ROLES:
        path = folder / f"{role}.json"
        if path.exists():
            yield parse_pointer(path.read_text(encoding="utf-8")).digest

"""The release agent: copies what an alias names in the registry to the folder that serving watches."""

import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from models.bundle import Bundle, read_bundle
from models.errors import BundleError
from models.pointer import ROLES, Pointer, parse_pointer, pointer_path, write_pointer
from training.errors import RegistryError, ReleaseError
from training.tracking import Registry, Version

TASKS: Final = ("churn", "quality", "recommend")
KEPT: Final = 5
"""Bundles kept per model beside the released ones; older folders are removed."""


@dataclass(frozen=True, slots=True)
class Release:
    """A slot that was pointed at a version."""

    task: str
    role: str
    version: Version


@dataclass(frozen=True, slots=True)
class Refusal:
    """A slot that stays as it was, though its alias names something, and why."""

    task: str
    role: str
    reason: str


def release(registry: Registry, folder: Path) -> list[Release | Refusal]:
    """Point each slot below ``folder`` at what its alias names now; the slots that changed, and those that could not.

    Each slot is seen to by itself. A bundle is verified before its pointer moves; agents may run side by side.
    RegistryError where the registry does not even say what its aliases name.
    """
    slots = [(task, role) for task in TASKS for role in ROLES]
    done = [one for task, role in slots if (one := _follow(registry, folder, task, role))]
    _remove_old(folder)
    return done


def fetch(registry: Registry, version: Version, folder: Path) -> Bundle:
    """A version's bundle, verified, below ``folder``/<task>; downloads it unless it is there, whole."""
    path = folder / version.task / version.digest
    with suppress(BundleError):
        return read_bundle(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".staging-") as staging:
        downloaded = registry.download(version, Path(staging))
        bundle = read_bundle(downloaded)
        _put(downloaded, path, aside=Path(staging, "aside"))
    return bundle


def require(registry: Registry, task: str, alias: str) -> Version:
    """The version an alias names; ReleaseError where there is none."""
    if (version := registry.find(task, alias)) is None:
        raise ReleaseError(f"the registry has no {task} version with the alias {alias}")
    return version


def fetch_required(registry: Registry, bundle: Bundle, folder: Path) -> dict[str, Bundle]:
    """The bundles that a bundle was built on, by task, below ``folder``; ReleaseError for one not registered."""
    required = {}
    for task, digest in bundle.requires.items():
        version = registry.find_digest(task, digest)
        if version is None:
            raise ReleaseError(f"bundle {bundle.digest[:12]} requires the {task} bundle {digest[:12]}: not registered")
        required[task] = fetch(registry, version, folder)
    return required


def _put(downloaded: Path, path: Path, *, aside: Path) -> None:
    """Move a whole bundle to its place, unless another agent did so meanwhile; what is broken there goes aside."""
    with suppress(BundleError):
        read_bundle(path)
        return
    with suppress(FileNotFoundError):
        path.rename(aside)
    try:
        downloaded.rename(path)
    except OSError:  # another agent was first
        read_bundle(path)


def _follow(registry: Registry, folder: Path, task: str, role: str) -> Release | Refusal | None:
    """Point a slot at what its alias names now; None where there is nothing to do."""
    try:
        version = registry.find(task, role)
    except ReleaseError as error:
        return Refusal(task, role, str(error))
    if version is None or _is_released(folder, role, version):
        return None
    try:
        _release_one(registry, folder, role, version)
    except (BundleError, OSError, RegistryError, ReleaseError) as error:
        return Refusal(task, role, str(error))
    return Release(task, role, version)


def _release_one(registry: Registry, folder: Path, role: str, version: Version) -> None:
    bundle = fetch(registry, version, folder)
    fetch_required(registry, bundle, folder)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    write_pointer(folder, version.task, role, Pointer(bundle.digest, version.number, now, version.gates))


def _is_released(folder: Path, role: str, version: Version) -> bool:
    """Whether the slot points at the version and its bundle lies there, whole."""
    pointer = _pointer(folder, version.task, role)
    if pointer is None or (pointer.digest, pointer.version) != (version.digest, version.number):
        return False
    try:
        bundle = read_bundle(folder / version.task / version.digest)
        return all(read_bundle(folder / task / digest) for task, digest in bundle.requires.items())
    except BundleError:
        return False


def _pointer(folder: Path, task: str, role: str) -> Pointer | None:
    """A slot's pointer; None where there is none that can be read, so that a damaged one is written anew."""
    try:
        return parse_pointer(pointer_path(folder, task, role).read_text(encoding="utf-8"))
    except (FileNotFoundError, BundleError):
        return None


def _used(folder: Path) -> set[str]:
    """The digests of what slots point at, and of what that requires."""
    used = set()
    for task in TASKS:
        for pointer in filter(None, (_pointer(folder, task, role) for role in ROLES)):
            used |= {pointer.digest, *read_bundle(folder / task / pointer.digest).requires.values()}
    return used


def _remove_old(folder: Path) -> None:
    """Remove older bundles that nothing uses; none while one that is used can't be read, and so what it requires."""
    try:
        used = _used(folder)
    except BundleError:
        return
    for task in TASKS:
        unused = [path for path in folder.glob(f"{task}/*/") if path.name not in used]
        for path in sorted(unused, key=_changed_at)[:-KEPT]:
            shutil.rmtree(path, ignore_errors=True)  # another agent may be at it, too


def _changed_at(path: Path) -> float:
    """When a folder changed; 0 for one that another agent has just removed."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0

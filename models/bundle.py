"""A released model on disk: a folder named by its digest, holding a manifest and the files it lists.

``<folder>/<digest>/manifest.json`` names every file with its size and SHA-256, the contract, and the digests of other
models this one was built on; the digest of the bundle is the SHA-256 of the manifest's bytes. Equal models therefore
lie in equal folders, and a changed byte anywhere is seen before the model answers.
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from models.contract import Contract
from models.errors import BundleError

FORMAT: Final = 1
"""The bundle format this code writes and reads."""

MANIFEST: Final = "manifest.json"
MODEL: Final = "model.onnx"
GOLDEN: Final = "golden.json"
_PLAIN_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]*")

Arrays: TypeAlias = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Golden:
    """Synthetic inputs with the outputs computed for them at export; a server must agree within ``tolerance``."""

    inputs: Arrays
    outputs: Arrays
    tolerance: float = 1e-5

    def encode(self) -> bytes:
        """The examples as JSON; NaN becomes null."""
        sides = {"inputs": self.inputs, "outputs": self.outputs}
        tensors = {side: {name: _encode(array) for name, array in arrays.items()} for side, arrays in sides.items()}
        return canonical_json({**tensors, "tolerance": self.tolerance})

    @classmethod
    def decode(cls, encoded: bytes) -> Self:
        """The examples that ``encode`` wrote."""
        data = json.loads(encoded)
        inputs, outputs = (
            {name: _decode(array) for name, array in data[side].items()} for side in ("inputs", "outputs")
        )
        return cls(inputs, outputs, float(data["tolerance"]))


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """A bundle as read and verified: its digest, contract, files by name, and what it ``requires``: model to digest."""

    digest: str
    contract: Contract
    files: Mapping[str, bytes]
    requires: Mapping[str, str] = field(default_factory=dict)

    @property
    def golden(self) -> Golden:
        """The golden examples; BundleError where they can't be read."""
        try:
            return Golden.decode(self.files[GOLDEN])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise BundleError(f"{GOLDEN} can't be read: {error!r}") from error


def write_bundle(
    folder: Path, contract: Contract, files: Mapping[str, bytes], *, requires: Mapping[str, str] | None = None
) -> Bundle:
    """Write a bundle below ``folder`` (created if absent) and return it.

    The folder of the digest appears whole or not at all; writing the same bundle again changes nothing.
    """
    listed = {
        _plain(name): {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()
    }
    manifest = canonical_json(
        {"format": FORMAT, "contract": contract.to_json(), "files": listed, "requires": dict(requires or {})}
    )
    digest = hashlib.sha256(manifest).hexdigest()
    if not (folder / digest).exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_whole(folder / digest, {**files, MANIFEST: manifest})
    return Bundle(digest, contract, dict(files), dict(requires or {}))


def read_bundle(path: Path) -> Bundle:
    """Read and verify the bundle in the folder ``path``, whose name must be its digest.

    Raises BundleError naming what is missing, truncated or changed, ContractError for a contract of another form.
    """
    manifest = _read(path / MANIFEST)
    if (digest := hashlib.sha256(manifest).hexdigest()) != path.name:
        raise BundleError(f"{MANIFEST} has digest {digest[:12]}, expected {path.name[:12]}")
    try:
        data = json.loads(manifest)
        if data["format"] != FORMAT:
            raise BundleError(f"{MANIFEST} has format {data['format']}, this version reads {FORMAT}")
        files = {name: _verified(path / _plain(name), listed) for name, listed in data["files"].items()}
        return Bundle(digest, Contract.parse(data["contract"]), files, dict(data["requires"]))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{MANIFEST} can't be read: {error!r}") from error


def _plain(name: str) -> str:
    """The name, if it can only mean a file in the bundle's own folder."""
    if not _PLAIN_NAME.fullmatch(name) or name == MANIFEST:
        raise BundleError(f"a file in a bundle can't be named {name!r}")
    return name


def _verified(file: Path, listed: Mapping[str, Any]) -> bytes:
    content = _read(file)
    if len(content) != listed["bytes"]:
        raise BundleError(f"{file.name} has {len(content)} bytes, expected {listed['bytes']}")
    if hashlib.sha256(content).hexdigest() != listed["sha256"]:
        raise BundleError(f"{file.name} was changed: its SHA-256 is not the manifest's")
    return content


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise BundleError(f"{file.name} can't be read: {error.strerror}") from error


def _write_whole(path: Path, files: Mapping[str, bytes]) -> None:
    """Make the folder ``path`` with these files by one rename, so that no reader sees a part of it."""
    staging = Path(tempfile.mkdtemp(prefix=".staging-", dir=path.parent))
    try:
        for name, data in files.items():
            with open(staging / name, "wb", opener=_for_owner) as opened:
                opened.write(data)
                opened.flush()
                os.fsync(opened.fileno())
        staging.rename(path)
    except OSError:
        shutil.rmtree(staging, ignore_errors=True)
        if not path.exists():  # another writer may have been faster with the same bytes
            raise


def _for_owner(path: str, flags: int) -> int:
    """Opens a file that nobody but its owner may read."""
    return os.open(path, flags, 0o600)


def canonical_json(data: object) -> bytes:
    """Equal JSON values as equal bytes."""
    return json.dumps(data, sort_keys=True, indent=1, allow_nan=False, ensure_ascii=False).encode() + b"\n"


def _encode(array: npt.NDArray[Any]) -> dict[str, Any]:
    values = [None if value != value else value for value in array.ravel().tolist()]
    return {"dtype": array.dtype.name, "shape": list(array.shape), "values": values}


def _decode(data: Mapping[str, Any]) -> npt.NDArray[Any]:
    values = [np.nan if value is None else value for value in data["values"]]
    return np.array(values, data["dtype"]).reshape(data["shape"])

"""A bundle is whole and unchanged, or it is refused."""

import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.bundle import GOLDEN, MANIFEST, Bundle, Golden, read_bundle, write_bundle
from models.contract import Contract, Tensor
from models.errors import BundleError, ContractError

CONTRACT = Contract("task", (Tensor("x", "float32", (None, 2)),), (Tensor("y", "float32", (None,)),), {"days": [7]})
FILES = {"model.onnx": b"graph", "golden.json": b"{}"}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """The folder of a sound bundle."""
    return tmp_path / write_bundle(tmp_path, CONTRACT, FILES, requires={"quality": "ab"}).digest


@pytest.fixture
def forged(tmp_path: Path) -> Callable[[bytes], Path]:
    """A bundle whose folder name fits its manifest, whatever that says."""

    def forge(manifest: bytes) -> Path:
        folder = tmp_path / hashlib.sha256(manifest).hexdigest()
        folder.mkdir()
        (folder / MANIFEST).write_bytes(manifest)
        return folder

    return forge


def test_what_was_written_is_read(written: Path) -> None:
    bundle = read_bundle(written)
    assert bundle.contract == CONTRACT
    assert (bundle.digest, bundle.files, bundle.requires) == (written.name, FILES, {"quality": "ab"})


def test_the_same_content_has_the_same_digest_whatever_its_order(written: Path, tmp_path: Path) -> None:
    again = write_bundle(tmp_path, CONTRACT, dict(reversed(FILES.items())), requires={"quality": "ab"})
    assert again.digest == written.name


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: write_bundle(folder, CONTRACT, FILES),
        lambda folder: write_bundle(folder, CONTRACT, FILES | {"model.onnx": b"Graph"}, requires={"quality": "ab"}),
        lambda folder: write_bundle(folder, Contract("task", (), ()), FILES, requires={"quality": "ab"}),
    ],
)
def test_other_content_has_another_digest(written: Path, tmp_path: Path, change: Callable[[Path], Bundle]) -> None:
    assert change(tmp_path).digest != written.name


def rename(folder: Path) -> Path:
    return folder.rename(folder.with_name("f" * 64))


def damage(name: str, content: bytes | None) -> Callable[[Path], Path]:
    def change(folder: Path) -> Path:
        (folder / name).unlink() if content is None else (folder / name).write_bytes(content)
        return folder

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (damage("model.onnx", b"grap"), "model.onnx has 4 bytes, expected 5"),
        (damage("model.onnx", b"grapH"), "model.onnx was changed"),
        (damage("model.onnx", None), "model.onnx can't be read: No such file"),
        (damage(MANIFEST, None), "manifest.json can't be read: No such file"),
        (damage(MANIFEST, b"{}"), "manifest.json has digest 44136fa355b3, expected"),
        (rename, "manifest.json has digest"),
        (lambda folder: shutil.rmtree(folder) or folder, "manifest.json can't be read"),
    ],
)
def test_a_damaged_bundle_is_refused(written: Path, change: Callable[[Path], Path], message: str) -> None:
    with pytest.raises(BundleError, match=message):
        read_bundle(change(written))


def manifest(**changed: Any) -> bytes:
    whole = {"format": 1, "contract": CONTRACT.to_json(), "files": {}, "requires": {}} | changed
    return json.dumps({name: value for name, value in whole.items() if value != "absent"}).encode()


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", BundleError),
        (b"\xff", BundleError),
        (b"[1]", BundleError),
        (b"7", BundleError),
        (manifest(format=2), BundleError),
        (manifest(format="absent"), BundleError),
        (manifest(files=["model.onnx"]), BundleError),
        (manifest(files={"model.onnx": 5}), BundleError),
        (manifest(files={"manifest.json": {}}), BundleError),
        (manifest(files={"../secret": {"bytes": 0, "sha256": ""}}), BundleError),
        (manifest(requires=["quality"]), BundleError),
        (manifest(contract="absent"), BundleError),
        (manifest(contract=[]), ContractError),
        (manifest(contract={"task": "churn"}), ContractError),
    ],
)
def test_a_manifest_that_says_something_else_is_refused(
    forged: Callable[[bytes], Path], content: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error):
        read_bundle(forged(content))


@pytest.mark.parametrize("name", ["../model.onnx", "a/b", ".hidden", MANIFEST, "Model", ""])
def test_a_file_is_named_plainly(tmp_path: Path, name: str) -> None:
    with pytest.raises(BundleError, match="can't be named"):
        write_bundle(tmp_path, CONTRACT, {name: b""})
    assert not list(tmp_path.iterdir())


def test_a_bundle_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        write_bundle(tmp_path, CONTRACT, FILES)
    assert not list(tmp_path.iterdir())


def test_writers_of_the_same_bundle_do_not_disturb_each_other(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        bundles = list(threads.map(lambda _: write_bundle(tmp_path, CONTRACT, FILES), range(40)))
    (folder,) = tmp_path.iterdir()  # one, and nothing half made beside it
    assert {bundle.digest for bundle in bundles} == {folder.name}
    assert read_bundle(folder).files == FILES


def test_no_other_account_of_the_machine_can_read_a_bundle(written: Path) -> None:
    assert stat.S_IMODE(written.stat().st_mode) == 0o700
    assert {stat.S_IMODE(one.stat().st_mode) for one in written.iterdir()} == {0o600}


def test_golden_examples_come_back_bit_for_bit() -> None:
    inputs = {"x": np.array([[np.nan, 0.1], [-0.0, 1e30]], np.float32), "ids": np.array([1, 2])}
    decoded = Golden.decode(Golden(inputs, {"y": np.array([0.5, 1 / 3])}, tolerance=1e-4).encode())
    assert decoded.tolerance == 1e-4
    for name, array in inputs.items():
        assert decoded.inputs[name].tobytes() == array.tobytes()
        assert decoded.inputs[name].dtype == array.dtype
    assert decoded.outputs["y"].tolist() == [0.5, 1 / 3]


@pytest.mark.parametrize("content", [None, b"", b"[]", b'{"inputs": []}', b'{"inputs": {}, "outputs": {"y": 1}}'])
def test_golden_examples_that_cannot_be_read_are_refused(content: bytes | None) -> None:
    with pytest.raises(BundleError, match=r"golden\.json can't be read"):
        _ = Bundle("", CONTRACT, {} if content is None else {GOLDEN: content}).golden

"""The release agent: slots follow aliases, and nothing unsound is ever pointed at."""

import os
import re
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from models.bundle import MODEL, read_bundle
from models.pointer import Pointer, parse_pointer, pointer_path
from training.promotion import Reason
from training.release import KEPT, Refusal, Release, release
from training.tracking import Registry, Version, model_name

Register = Callable[[str], Version]


@pytest.fixture
def bundles(tmp_path: Path) -> Path:
    """The folder that serving watches."""
    return tmp_path / "bundles"


def crown(registry: Registry, version: Version) -> None:
    registry.move_champion(version, Reason("mei", "").move("promote", None))


def pointer(bundles: Path, role: str) -> Pointer:
    return parse_pointer(pointer_path(bundles, "churn", role).read_text(encoding="utf-8"))


def test_an_empty_registry_releases_nothing(registry: Registry, bundles: Path) -> None:
    assert release(registry, bundles) == []


def test_slots_are_pointed_at_what_the_aliases_name(registry: Registry, register: Register, bundles: Path) -> None:
    first = register("model")
    crown(registry, first)
    second = register("twin")
    released = release(registry, bundles)
    assert released == [Release("churn", "champion", first), Release("churn", "challenger", second)]
    for role, version in {"champion": first, "challenger": second}.items():
        found = pointer(bundles, role)
        assert (found.digest, found.version, found.gates) == (version.digest, version.number, {"passed": True})
        assert read_bundle(bundles / "churn" / found.digest).digest == version.digest


def test_what_is_released_is_not_released_again(registry: Registry, register: Register, bundles: Path) -> None:
    register("model")
    release(registry, bundles)
    written = pointer_path(bundles, "churn", "challenger").stat().st_mtime_ns
    assert release(registry, bundles) == []
    assert pointer_path(bundles, "churn", "challenger").stat().st_mtime_ns == written


def test_the_same_bundle_under_another_version_moves_the_pointer_alone(
    registry: Registry, register: Register, bundles: Path
) -> None:
    register("model")
    release(registry, bundles)
    again = register("model")
    assert release(registry, bundles) == [Release("churn", "challenger", again)]
    assert pointer(bundles, "challenger").version == "2"
    assert len([path for path in (bundles / "churn").iterdir() if path.is_dir()]) == 1


def test_the_last_few_bundles_stay_and_the_released_ones_always(
    registry: Registry, register: Register, bundles: Path
) -> None:
    digest = register("model").digest
    release(registry, bundles)
    os.utime(bundles / "churn" / digest, (0, 0))
    for age in range(KEPT + 3):
        (bundles / "churn" / f"{age}").mkdir()
        os.utime(bundles / "churn" / f"{age}", (1000 - age, 1000 - age))
    release(registry, bundles)
    left = {path.name for path in (bundles / "churn").iterdir() if path.is_dir()}
    assert left == {digest, *(f"{age}" for age in range(KEPT))}


def truncate_stored_model(home: Path) -> None:
    (stored,) = (home / "mlflow").rglob(MODEL)
    os.truncate(stored, stored.stat().st_size - 1)


def test_a_truncated_download_is_refused_and_leaves_the_slot(
    registry: Registry, register: Register, home: Path, bundles: Path
) -> None:
    register("model")
    truncate_stored_model(home)
    (refused,) = release(registry, bundles)
    assert isinstance(refused, Refusal)
    assert (refused.task, refused.role) == ("churn", "challenger")
    assert re.fullmatch(r"model\.onnx has \d+ bytes, expected \d+", refused.reason)
    assert not pointer_path(bundles, "churn", "challenger").exists()
    assert list((bundles / "churn").iterdir()) == []


def test_a_bad_release_leaves_the_good_one_before_it(
    registry: Registry, register: Register, home: Path, bundles: Path
) -> None:
    good = register("model")
    release(registry, bundles)
    (stored,) = (home / "mlflow").rglob(MODEL)
    stored.rename(home / "aside")
    register("twin")
    truncate_stored_model(home)
    assert [type(one) for one in release(registry, bundles)] == [Refusal]
    assert pointer(bundles, "challenger").digest == good.digest
    assert read_bundle(bundles / "churn" / good.digest).digest == good.digest


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder, digest: (folder / "challenger.json").write_text("{"),
        lambda folder, digest: (folder / "challenger.json").unlink(),
        lambda folder, digest: shutil.rmtree(folder / digest),
        lambda folder, digest: [(folder / "challenger.json").unlink(), (folder / digest / MODEL).write_bytes(b"")],
    ],
    ids=["pointer spoilt", "pointer lost", "bundle lost", "both spoilt"],
)
def test_what_was_damaged_on_disk_is_released_anew(
    registry: Registry, register: Register, bundles: Path, damage: Callable[[Path, str], object]
) -> None:
    digest = register("model").digest
    release(registry, bundles)
    damage(bundles / "churn", digest)
    assert len(release(registry, bundles)) == 1
    assert pointer(bundles, "challenger").digest == read_bundle(bundles / "churn" / digest).digest


def test_a_broken_champion_stops_no_other_slot(
    registry: Registry, register: Register, home: Path, bundles: Path
) -> None:
    crown(registry, register("model"))
    truncate_stored_model(home)
    (broken,) = (home / "mlflow").rglob(MODEL)
    broken.rename(broken.with_name("aside"))
    second = register("twin")
    broken.with_name("aside").rename(broken)
    champion, challenger = release(registry, bundles)
    assert (type(champion), champion.role) == (Refusal, "champion")
    assert challenger == Release("churn", "challenger", second)
    assert [type(one) for one in release(registry, bundles)] == [Refusal]


@pytest.mark.parametrize("gates", [None, "{", "7"])
def test_a_version_without_a_gate_report_is_refused_and_the_others_are_released(
    registry: Registry, register: Register, bundles: Path, gates: str | None
) -> None:
    first = register("model")
    crown(registry, first)
    second = register("twin")
    name = model_name("churn")
    if gates is None:
        registry._client.delete_model_version_tag(name, first.number, "gates")
    else:
        registry._client.set_model_version_tag(name, first.number, "gates", gates)
    refused, released = release(registry, bundles)
    assert isinstance(refused, Refusal)
    assert "gates" in refused.reason
    assert released == Release("churn", "challenger", second)


def test_agents_side_by_side_release_the_same_and_none_fails(
    registry: Registry, register: Register, home: Path, bundles: Path
) -> None:
    version = register("model")
    for n in range(KEPT + 3):
        (bundles / "churn" / f"{n}").mkdir(parents=True)
    (bundles / "churn" / version.digest).mkdir()  # which is broken
    with ThreadPoolExecutor(4) as agents:
        rounds = [agents.submit(release, registry, bundles) for _ in range(8)]
    assert {type(one) for done in rounds for one in done.result()} == {Release}
    assert read_bundle(bundles / "churn" / pointer(bundles, "challenger").digest).digest == version.digest
    assert [one for one in (bundles / "churn").iterdir() if one.name.startswith(".")] == []

"""Runs, versions and aliases in the embedded MLflow."""

from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from models.bundle import read_bundle
from training.errors import RegistryError, ReleaseError
from training.tracking import CHALLENGER, CHAMPION, Move, Registry, RunRecord, Version, embedded_uri

Register = Callable[[str], Version]


@pytest.fixture
def client(home: Path) -> MlflowClient:
    """MLflow's own eyes on the embedded store."""
    return MlflowClient(embedded_uri(home / "mlflow"))


def test_a_run_keeps_parameters_metrics_tags_and_files(registry: Registry, client: MlflowClient) -> None:
    record = RunRecord(
        "churn",
        params={"seed": "7", "data_digest": "ab"},
        tags={"gates": "failed"},
        metrics={"h14.model.auc": 0.8, "slice.tenure.30 to 90.ece": float("nan")},
        files={"report.json": b"{}", "plots/roc.png": b"png"},
    )
    run = client.get_run(registry.log_run(record))
    assert run.info.status == "FINISHED"
    assert client.get_experiment(run.info.experiment_id).name == "mingjian-churn"
    assert run.data.params == record.params
    assert run.data.metrics == pytest.approx(record.metrics, nan_ok=True)
    assert run.data.tags["gates"] == "failed"
    assert [file.path for file in client.list_artifacts(run.info.run_id, "plots")] == ["plots/roc.png"]


def test_a_registered_version_is_the_challenger(
    register: Register, registry: Registry, client: MlflowClient, variants: dict[str, Path]
) -> None:
    version = register("model")
    assert registry.find("churn", CHALLENGER) == version
    assert registry.find("churn", CHAMPION) is None
    assert (version.number, version.digest, version.gates) == ("1", variants["model"].name, {"passed": True})
    found = client.get_model_version("mingjian-churn", "1")
    assert (found.run_id, found.tags["digest"]) == (version.run_id, version.digest)


def test_a_later_version_takes_the_alias(register: Register, registry: Registry) -> None:
    register("model")
    assert register("twin").number == "2"
    assert registry.find("churn", CHALLENGER).number == "2"


def test_a_bundle_comes_back_whole(register: Register, registry: Registry, tmp_path: Path) -> None:
    version = register("model")
    assert read_bundle(registry.download(version, tmp_path)).digest == version.digest


def test_an_empty_registry_has_no_versions(registry: Registry) -> None:
    assert registry.find("churn", CHALLENGER) is None


def move(kind: str, at: int, origin: str | None = None) -> Move:
    return Move(kind, origin, "mei", f"20260501T00000{at}.000000Z", "why not 为什么")


def test_a_move_is_kept_with_who_when_and_why(register: Register, registry: Registry) -> None:
    version = register("model")
    moves = [move("promote", 1), move("rollback", 2, "2"), move("promote", 3, "3")]
    for one in reversed(moves):
        registry.move_champion(version, one)
    assert registry.moves(version) == moves
    assert registry.find("churn", CHAMPION) == version


def test_the_version_before_is_the_champion_that_was_last_replaced(register: Register, registry: Registry) -> None:
    first, second, third = (register("model") for _ in range(3))
    registry.move_champion(first, move("promote", 1))
    registry.move_champion(second, move("promote", 2, first.number))
    registry.move_champion(third, move("promote", 3, second.number))
    registry.move_champion(second, move("rollback", 4, third.number))
    assert registry.version_before(third) == second
    assert registry.version_before(second) == first  # a rollback does not count
    with pytest.raises(ReleaseError, match="mingjian-churn version 1 has no champion before it"):
        registry.version_before(first)


def test_a_deleted_version_cannot_be_gone_back_to(register: Register, registry: Registry, client: MlflowClient) -> None:
    first, second = register("model"), register("twin")
    registry.move_champion(second, move("promote", 1, first.number))
    client.delete_model_version("mingjian-churn", first.number)
    with pytest.raises(ReleaseError, match="version 1, the champion before, was deleted"):
        registry.version_before(second)


@pytest.mark.parametrize("digest", [None, "../../etc", "AB" * 32])
def test_a_version_made_by_hand_is_refused(
    register: Register, registry: Registry, client: MlflowClient, digest: str | None
) -> None:
    version = register("model")
    if digest is None:
        client.delete_model_version_tag("mingjian-churn", version.number, "digest")
    else:
        client.set_model_version_tag("mingjian-churn", version.number, "digest", digest)
    with pytest.raises(ReleaseError, match="version 1 was not registered by a training run"):
        registry.find("churn", CHALLENGER)


def test_a_registry_that_does_not_answer_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(RegistryError, match="MLflow: "):
        Registry("http://127.0.0.1:9", tmp_path).find("churn", CHAMPION)
    with pytest.raises(RegistryError, match="MLflow: "):
        Registry("nonsense://x", tmp_path)

"""Runs, versions and aliases in MLflow: the only file that imports it.

Works the same against an embedded store (SQLite and local files, the default) and a served MLflow over HTTP. MLflow
takes seconds to import, so commands import this file only when they need it.
"""

import json
import logging
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from training.errors import RegistryError, ReleaseError

CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"
_BUNDLE: Final = "bundle"
_MOVE: Final = "champion_move."


@dataclass(frozen=True, slots=True)
class RunRecord:
    """All that a run leaves behind; ``files`` maps an artefact's path to its content."""

    task: str
    params: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    files: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Version:
    """A registered version of a model; ``digest`` is its bundle's."""

    task: str
    number: str
    run_id: str
    digest: str
    gates: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Move:
    """Why a version became champion: ``kind`` is promote or rollback, ``origin`` the version before, if any.

    ``gates`` is what a promotion demanded, as JSON values.
    """

    kind: str
    origin: str | None
    by: str
    at: str
    why: str
    gates: Mapping[str, Any] = field(default_factory=dict)


@contextmanager
def _answering() -> Iterator[None]:
    """RegistryError for what MLflow refuses to do, or can't be reached for."""
    try:
        yield
    except MlflowException as error:
        raise RegistryError(f"MLflow: {error.message.splitlines()[0]}") from error


class Registry:
    """MLflow's runs and registered models; RegistryError where it refuses or does not answer.

    ``uri`` None stands for the embedded store below ``home``, where the files of any store without a server lie too.
    """

    @_answering()
    def __init__(self, uri: str | None, home: Path) -> None:
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")  # MLflow's own seven take four minutes
        for chatty in ("mlflow", "alembic"):
            logging.getLogger(chatty).setLevel(logging.WARNING)
        home.mkdir(parents=True, exist_ok=True)
        is_served = uri is not None and uri.startswith(("http:", "https:"))  # then the server says where files go
        self._artifacts = None if is_served else (home.resolve() / "artifacts").as_uri()
        self._client = MlflowClient(uri or embedded_uri(home))

    @_answering()
    def log_run(self, record: RunRecord) -> str:
        """Write a run, finished, and return its id."""
        run = self._client.create_run(self._experiment(model_name(record.task)), tags=dict(record.tags))
        run_id: str = run.info.run_id
        at = run.info.start_time
        metrics = [Metric(name, number, at, step=0) for name, number in record.metrics.items()]
        self._client.log_batch(run_id, metrics, [Param(name, value) for name, value in record.params.items()])
        with tempfile.TemporaryDirectory() as folder:
            for path, content in record.files.items():
                file = Path(folder, path)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
            self._client.log_artifacts(run_id, folder)
        self._client.set_terminated(run_id)
        return run_id

    @_answering()
    def register(self, task: str, run_id: str, bundle: Path, gates: Mapping[str, Any]) -> Version:
        """Store a bundle's folder with its run and register it as the new challenger."""
        name, digest = model_name(task), bundle.name
        self._client.log_artifacts(run_id, str(bundle), f"{_BUNDLE}/{digest}")
        try:
            self._client.create_registered_model(name)
        except MlflowException as error:
            _expect(error, "RESOURCE_ALREADY_EXISTS")
        source = f"{self._client.get_run(run_id).info.artifact_uri}/{_BUNDLE}/{digest}"
        tags = {"digest": digest, "gates": json.dumps(gates)}
        number: str = self._client.create_model_version(name, source, run_id, tags=tags).version
        self._client.set_registered_model_alias(name, CHALLENGER, number)
        return Version(task, str(number), run_id, digest, gates)

    @_answering()
    def find(self, task: str, alias: str) -> Version | None:
        """The version an alias names, or None."""
        try:
            return _version(task, self._client.get_model_version_by_alias(model_name(task), alias))
        except MlflowException as error:
            _expect(error, "INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST")
            return None

    @_answering()
    def find_digest(self, task: str, digest: str) -> Version | None:
        """The latest version of a bundle, or None."""
        wanted = f"name = '{model_name(task)}' AND tags.digest = '{digest}'"
        found = self._client.search_model_versions(wanted, order_by=["version_number DESC"], max_results=1)
        return _version(task, found[0]) if found else None

    @_answering()
    def download(self, version: Version, folder: Path) -> Path:
        """Copy a version's bundle below ``folder``; the result is the bundle's folder, not yet verified."""
        return Path(self._client.download_artifacts(version.run_id, _BUNDLE, str(folder))) / version.digest

    @_answering()
    def move_champion(self, version: Version, move: Move) -> None:
        """Make a version champion and tag it with who, when and why."""
        name = model_name(version.task)
        self._client.set_model_version_tag(name, version.number, f"{_MOVE}{move.at}", json.dumps(asdict(move)))
        self._client.set_registered_model_alias(name, CHAMPION, version.number)

    @_answering()
    def version_before(self, version: Version) -> Version:
        """The version that was champion when this one was last promoted; ReleaseError where there was none."""
        name = model_name(version.task)
        promotions = [move for move in self.moves(version) if move.kind == "promote"]
        if not promotions or promotions[-1].origin is None:
            raise ReleaseError(f"{name} version {version.number} has no champion before it to roll back to")
        try:
            return _version(version.task, self._client.get_model_version(name, promotions[-1].origin))
        except MlflowException as error:
            _expect(error, "RESOURCE_DOES_NOT_EXIST")
            raise ReleaseError(f"{name} version {promotions[-1].origin}, the champion before, was deleted") from error

    @_answering()
    def moves(self, version: Version) -> list[Move]:
        """When a version became champion and why, oldest first."""
        tags = self._client.get_model_version(model_name(version.task), version.number).tags
        return [Move(**json.loads(tags[key])) for key in sorted(tags) if key.startswith(_MOVE)]

    def _experiment(self, name: str) -> str:
        existing = self._client.get_experiment_by_name(name)
        return existing.experiment_id if existing else self._client.create_experiment(name, self._artifacts)


def model_name(task: str) -> str:
    """The name a task's experiment and registered model have."""
    return f"mingjian-{task}"


def embedded_uri(home: Path) -> str:
    """The tracking URI of the embedded store below ``home``."""
    return f"sqlite:///{home.resolve()}/mlflow.db"


def _version(task: str, found: ModelVersion) -> Version:
    digest = found.tags.get("digest", "")
    if not re.fullmatch("[0-9a-f]{64}", digest):  # it names a folder
        raise ReleaseError(f"{found.name} version {found.version} was not registered by a training run: no digest")
    return Version(task, str(found.version), str(found.run_id), digest, _gates(found))


def _gates(found: ModelVersion) -> dict[str, Any]:
    """The gate report that a training run left with a version."""
    try:
        gates = json.loads(found.tags["gates"])
    except (KeyError, ValueError):
        gates = None
    if not isinstance(gates, dict):
        raise ReleaseError(f"{found.name} version {found.version}: its tag gates was lost or can't be read")
    return gates


def _expect(error: MlflowException, *codes: str) -> None:
    """Let an error of one of these codes pass; raise any other."""
    if error.error_code not in codes:
        raise error

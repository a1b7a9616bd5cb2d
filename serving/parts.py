"""A folder of Parquet files with everyone's scores, written part by part: a run that was killed goes on where it was.

A part appears whole or not at all, and names in its own metadata the run it belongs to. ``manifest.json`` names it too,
from the start; once everyone is scored it says so and lists the parts. An equal run gives equal files, bit for bit,
however often it was interrupted.

The one door to pyarrow in what serves: it comes with the optional extra ``batch``.
"""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from features.state import NEVER
from models.bundle import canonical_json
from models.churn.scorer import ChurnScores, ChurnStatus
from serving.errors import ServingError
from serving.instants import to_datetime
from serving.store.scores import ScoreRun

MANIFEST: Final = "manifest.json"
FORMAT: Final = 1

_INSTANT: Final = pa.timestamp("us", "UTC")
SCHEMA: Final = pa.schema(
    [
        ("user_id", pa.string()),
        ("as_of", _INSTANT),
        ("status", pa.string()),
        ("horizon_days", pa.int32()),
        ("probability", pa.float64()),
        ("threshold", pa.float64()),
        ("at_risk", pa.bool_()),
        ("reasons", pa.list_(pa.string())),
        ("last_active_at", _INSTANT),
        ("model_version", pa.string()),
        ("model_digest", pa.string()),
    ]
)
"""A row per user and horizon; a user who is not ``scored`` has neither ``probability`` nor ``at_risk``."""

_REASONS: Final = {ChurnStatus.SCORED: [], ChurnStatus.COLD_START: ["no_activity"], ChurnStatus.INACTIVE: ["inactive"]}
_RUN: Final = b"mingjian.run"


class BatchRun(NamedTuple):
    """A run that goes into parts of ``block`` users each."""

    scores: ScoreRun
    block: int


class Block(NamedTuple):
    """Some users in order, when they were last active (``NEVER``: not at all), and their scores."""

    user_ids: Sequence[str]
    last_at: npt.NDArray[np.int64]
    scores: ChurnScores


class Parts:
    """The parts of a run in a folder, which is made where absent.

    ServingError for a folder that holds another run, or not all of the parts it should.
    """

    def __init__(self, folder: Path, run: BatchRun) -> None:
        self._folder = folder
        self._run = run
        self._described = _described(run)
        manifest = read_manifest(folder) or {"run": self._described, "parts": None}
        self._require_same(MANIFEST, manifest["run"])
        self._n_users = self._taken_up()
        self.is_complete = manifest["parts"] is not None
        if not self.is_complete:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._write_manifest(parts=None)
        elif manifest["parts"] != self._listed():
            raise ServingError(f"{folder} does not hold the parts that its {MANIFEST} lists")

    @property
    def n_users(self) -> int:
        """How many users the parts hold."""
        return sum(self._n_users)

    def last_user_id(self) -> str:
        """The last user of the last part; empty before the first."""
        if not self._n_users:
            return ""
        user_ids = pq.read_table(self._path(len(self._n_users) - 1), columns=["user_id"])["user_id"]
        return str(user_ids[-1])

    def add(self, block: Block) -> None:
        """Write the next part."""
        table = _table(block, self._run.scores).replace_schema_metadata({_RUN: json.dumps(self._described)})
        _write_whole(self._path(len(self._n_users)), lambda file: pq.write_table(table, file))
        self._n_users.append(len(block.user_ids))

    def finish(self) -> None:
        """Say that everyone is scored."""
        self._write_manifest(parts=self._listed())

    def _taken_up(self) -> list[int]:
        """How many users each part holds; all belong to this run, and none is missing before the last."""
        n_files = len(list(self._folder.glob("part-*.parquet")))
        files = [self._path(place) for place in range(n_files)]
        for file in files:
            if not file.exists():
                raise ServingError(f"{file} is missing, and later parts are there")
        return [self._n_users_in(file) for file in files]

    def _n_users_in(self, file: Path) -> int:
        try:
            footer = pq.read_metadata(file)
        except pa.ArrowException as error:
            raise ServingError(f"{file} is not a part: {str(error).splitlines()[0]}") from error
        self._require_same(file.name, json.loads((footer.metadata or {}).get(_RUN, b"{}")))
        return int(footer.num_rows // len(self._run.scores.thresholds))

    def _require_same(self, name: str, described: Any) -> None:
        if described != self._described:
            differing = [key for key, value in self._described.items() if described.get(key) != value]
            raise ServingError(
                f"{self._folder / name} is of another run (another {', '.join(differing)}): choose another folder"
            )

    def _listed(self) -> list[dict[str, Any]]:
        return [{"file": self._path(place).name, "n_users": n} for place, n in enumerate(self._n_users)]

    def _write_manifest(self, *, parts: list[dict[str, Any]] | None) -> None:
        manifest = canonical_json({"format": FORMAT, "run": self._described, "parts": parts})
        _write_whole(self._folder / MANIFEST, lambda file: file.write(manifest))

    def _path(self, place: int) -> Path:
        return self._folder / f"part-{place:05}.parquet"


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """What the manifest of a folder says; None where there is none, ServingError for one that can't be read."""
    try:
        match json.loads((folder / MANIFEST).read_bytes()):
            case {"format": version, "run": {"as_of": str(), "block": int()}, "parts": _} as manifest:
                if version == FORMAT:
                    return dict(manifest)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ServingError(f"{folder / MANIFEST} can't be read: it is not JSON") from error
    raise ServingError(f"{folder / MANIFEST} can't be read: it is not of format {FORMAT}")


def _described(run: BatchRun) -> dict[str, Any]:
    """What tells a run from others, as JSON values."""
    thresholds = {str(days): threshold for days, threshold in run.scores.thresholds.items()}
    as_of = to_datetime(run.scores.as_of).isoformat()
    return {**run.scores._asdict(), "as_of": as_of, "thresholds": thresholds, "block": run.block}


def _table(block: Block, run: ScoreRun) -> pa.Table:
    """A row per user and horizon, a user's rows together."""
    n_users, n_horizons = len(block.user_ids), len(run.thresholds)
    user = pa.array(np.repeat(np.arange(n_users), n_horizons))
    probability = block.scores.probability.astype(np.float64).ravel()
    is_scored = ~np.isnan(probability)
    threshold = np.tile(list(run.thresholds.values()), n_users)
    last_active_at = pa.array(block.last_at, pa.int64(), mask=block.last_at == NEVER).cast(_INSTANT)
    reasons = pa.array([_REASONS[status] for status in block.scores.status], SCHEMA.field("reasons").type)
    columns = {
        "user_id": pa.array(block.user_ids).take(user),
        "as_of": _same(run.as_of, pa.int64(), user).cast(_INSTANT),
        "status": pa.array(block.scores.status, pa.string()).take(user),
        "horizon_days": np.tile(np.array(list(run.thresholds), np.int32), n_users),
        "probability": pa.array(probability, mask=~is_scored),
        "threshold": threshold,
        "at_risk": pa.array(probability >= threshold, mask=~is_scored),
        "reasons": reasons.take(user),
        "last_active_at": last_active_at.take(user),
        "model_version": _same(run.version, pa.string(), user),
        "model_digest": _same(run.digest, pa.string(), user),
    }
    return pa.table(columns, SCHEMA)


def _same(value: object, kind: pa.DataType, rows: pa.Array) -> pa.Array:
    return pa.repeat(pa.scalar(value, kind), len(rows))


def _write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file that appears by one rename; what an interrupted write leaves, the next one to this path replaces."""
    staged = path.with_name(f".{path.name}.staged")
    with staged.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    staged.replace(path)

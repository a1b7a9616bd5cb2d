"""A small community with a hidden hazard, a shop as CSV, and one model trained on the community for all to look at."""

import csv
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from threadpoolctl import threadpool_limits

from features.sources import Dataset
from features.state import DAY_US
from models.bundle import Bundle, read_bundle
from models.pointer import parse_pointer, pointer_path
from training.__main__ import main
from training.churn.config import ChurnConfig
from training.churn.evaluation import Evaluation, evaluate
from training.churn.export import export_churn
from training.churn.fitting import Choice
from training.churn.recipe import ChurnTraining, train_churn
from training.tracking import CHAMPION, Registry, RunRecord, Version

Ints = npt.NDArray[np.int64]

START = round(datetime(2023, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
N_USERS, N_DAYS = 1200, 120
CONFIG = {
    "horizon_days": [7, 14],
    "active_days": 21,
    "n_test_instants": 2,
    "train_as_of": {"start": "2023-01-15", "end": "2023-04-15", "every_days": 10},
}


@pytest.fixture(autouse=True, scope="session")
def _one_blas_thread() -> Iterator[None]:
    """As ``run_churn`` does: on tables this narrow more threads are slower."""
    with threadpool_limits(1, user_api="blas"):
        yield


@pytest.fixture(autouse=True)
def _no_registry_of_the_developers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands use the registry that a test names, else an embedded one."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def _days_of(rng: np.random.Generator, mean_stay: npt.NDArray[np.float64], rate: npt.NDArray[np.float64]) -> Ints:
    """Who was active on which day, (user, day) in order.

    Users join in the order of their number, stay for a time without memory, and come on some of the days.
    """
    n_users = len(rate)
    joined = np.sort(rng.integers(0, N_DAYS * 2 // 3, n_users))
    joined[: n_users // 3] = 0
    left = joined + 1 + rng.exponential(mean_stay)
    day = np.arange(N_DAYS)
    comes = (rng.random((n_users, N_DAYS)) < rate[:, None]) | (day == joined[:, None])
    return np.argwhere(comes & (day >= joined[:, None]) & (day < left[:, None]))


def _write_community(folder: Path) -> None:
    """Half the users are loyal: they stay long, and collect; the others leave soon, and only look."""
    rng = np.random.default_rng(3)
    loyal = np.arange(N_USERS) % 2 == 0
    rate = rng.beta(1.2, 2.5, N_USERS).clip(0.05, 0.95)
    active = _days_of(rng, np.where(loyal, 200.0, 25.0), rate)
    user, day = np.repeat(active, 1 + rng.poisson(1.5, len(active)), axis=0).T
    collects = rng.random(len(user)) < np.where(loyal[user], 0.3, 0.01)
    kind = np.where(collects, "collect", np.where(rng.random(len(user)) < 0.3, "click", "open"))
    at = START + day * DAY_US + rng.integers(0, DAY_US, len(user))
    columns = {
        "event_id": [f"e{place}" for place in range(len(user))],
        "user_id": [f"u{one:05}" for one in user],
        "event": kind,
        "occurred_at": pa.array(at, pa.timestamp("us", "UTC")),
    }
    pq.write_table(pa.table(columns), folder / "events.parquet")


def _write_shop(folder: Path) -> None:
    """Purchases only, to the day, no notes: who buys often and has not lately will not again."""
    rng = np.random.default_rng(4)
    rate = rng.beta(1.5, 6, 500).clip(0.03, 0.6)
    active = _days_of(rng, np.where(np.arange(500) % 2 == 0, 150.0, 20.0), rate)
    with (folder / "events.csv").open("w", encoding="utf-8", newline="") as opened:
        rows = csv.writer(opened)
        rows.writerow(["event_id", "user_id", "event", "occurred_at", "value"])
        for place, (user, day) in enumerate(active.tolist()):
            at = datetime.fromtimestamp((START + day * DAY_US) / 1e6, tz=UTC)
            rows.writerow([place, f"c{user:04}", "purchase", at.isoformat(), round(rng.gamma(2, 20), 2)])


@pytest.fixture(scope="session")
def community(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Parquet log of 1,200 users in 120 days of 2023 who open, click and collect."""
    folder = tmp_path_factory.mktemp("community")
    _write_community(folder)
    return folder


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV log of 500 buyers in the same days."""
    folder = tmp_path_factory.mktemp("shop")
    _write_shop(folder)
    return folder


@pytest.fixture(scope="session")
def open_dataset() -> Callable[[Path], Dataset]:
    """A folder as of 2024."""
    return lambda folder: Dataset(folder, now=START + 365 * DAY_US)


@pytest.fixture(scope="session")
def configure() -> Callable[..., ChurnConfig]:
    """The settings of the tests' runs, some of them changed."""
    return lambda **changed: ChurnConfig.model_validate(CONFIG | changed)


@pytest.fixture(scope="session")
def train(open_dataset: Callable[[Path], Dataset], configure: Callable[..., ChurnConfig]) -> Callable[..., Any]:
    """Train on a folder with the tests' settings."""

    def run(folder: Path, **changed: Any) -> ChurnTraining:
        return train_churn(configure(**changed), open_dataset(folder), lambda what, done, total: None)

    return run


@pytest.fixture(scope="session")
def training(train: Callable[[Path], ChurnTraining], community: Path) -> ChurnTraining:
    """A model of the community, with what it was fitted and judged on."""
    return train(community)


@pytest.fixture(scope="session")
def evaluation(training: ChurnTraining) -> Evaluation:
    """How good that model is."""
    return evaluate(training, seed=7)


@pytest.fixture(scope="session")
def bundle(training: ChurnTraining, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """That model, exported."""
    return export_churn(training.model, tmp_path_factory.mktemp("bundles"))


@pytest.fixture(scope="session")
def variants(training: ChurnTraining, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Bundles: the model's, its twin that ranks the same, one that ranks the wrong way, one that fears the worst."""
    folder = tmp_path_factory.mktemp("variants")

    def export(change: Callable[[Choice], Choice]) -> Path:
        fits = tuple(replace(fit, choice=change(fit.choice)) for fit in training.model.fits)
        return folder / export_churn(replace(training.model, fits=fits), folder).digest

    return {
        "model": export(lambda choice: choice),
        "twin": export(lambda choice: replace(choice, intercept=choice.intercept + 0.01)),
        "wrong": export(lambda choice: replace(choice, slope=-choice.slope)),
        "fearful": export(lambda choice: replace(choice, intercept=choice.intercept + 4)),
    }


@pytest.fixture(scope="session")
def _empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without runs: making one takes seconds, copying it none."""
    home = tmp_path_factory.mktemp("empty")
    Registry(None, home).find("churn", "champion")
    return home / "mlflow.db"


@pytest.fixture
def home(_empty_store: Path, tmp_path: Path) -> Path:
    """Where a command line keeps things, with an embedded store that holds nothing yet."""
    home = tmp_path / "变量 var"
    (home / "mlflow").mkdir(parents=True)
    shutil.copy(_empty_store, home / "mlflow")
    return home


@pytest.fixture
def registry(home: Path) -> Registry:
    """The embedded registry below ``home``."""
    return Registry(None, home / "mlflow")


@pytest.fixture
def register(registry: Registry, variants: dict[str, Path]) -> Callable[[str], Version]:
    """Log a run and register a variant as challenger."""

    def add(name: str) -> Version:
        run_id = registry.log_run(RunRecord("churn", {"seed": "7"}, {"gates": "passed"}, {"auc": 0.8}))
        return registry.register("churn", run_id, variants[name], {"passed": True})

    return add


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    """The settings of the tests' runs as a file, with a single test instant."""
    file = tmp_path / "churn.toml"
    span = 'train_as_of = {start = 2023-01-15, end = "2023-04-15", every_days = 10}'
    file.write_text(f"horizon_days = [7, 14]\nactive_days = 21\nn_test_instants = 1\n{span}\n", encoding="utf-8")
    return file


@pytest.fixture
def live(
    community: Path, config_file: Path, variants: dict[str, Path], tmp_path: Path
) -> Callable[[list[str], Registry], None]:
    """A model's life by the command line: trained, promoted, released, outdone, and called back."""
    data = ["--data", str(community), "--config", str(config_file)]
    who = ["--by", "mei", "--why", "为什么"]
    bundles = tmp_path / "bundles"

    def released_champion() -> str:
        pointer = parse_pointer(pointer_path(bundles, "churn", CHAMPION).read_text(encoding="utf-8"))
        assert read_bundle(bundles / "churn" / pointer.digest).digest == pointer.digest
        return pointer.version

    def run(options: list[str], registry: Registry) -> None:
        assert main([*options, "churn", *data, "--report", str(tmp_path / "report.json")]) == 0
        assert main([*options, "promote", "churn", *data, *who]) == 0
        assert main([*options, "release", "--bundles", str(bundles)]) == 0
        assert released_champion() == "1"
        run_id = registry.log_run(RunRecord("churn", {}, {}, {}, {"model_card.md": b"# twin"}))
        registry.register("churn", run_id, variants["twin"], {"passed": True})
        assert main([*options, "promote", "churn", *data, *who]) == 0
        assert main([*options, "release", "--bundles", str(bundles)]) == 0
        assert released_champion() == "2"
        assert main([*options, "rollback", "churn", *who]) == 0
        assert main([*options, "release", "--bundles", str(bundles)]) == 0
        assert released_champion() == "1"
        champion = registry.find("churn", CHAMPION)
        moves = [(move.kind, move.origin, move.by, move.why) for move in registry.moves(champion)]
        assert moves == [("promote", None, "mei", "为什么"), ("rollback", "2", "mei", "为什么")]

    return run

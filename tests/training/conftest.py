"""A small community with a hidden hazard, a shop as CSV, and one model trained on the community for all to look at."""

import csv
from collections.abc import Callable, Iterator
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
from models.bundle import Bundle
from training.churn import ChurnTraining, train_churn
from training.config import ChurnConfig
from training.evaluation import Evaluation, evaluate
from training.export import export_churn

Ints = npt.NDArray[np.int64]

START = round(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
N_USERS, N_DAYS = 800, 120
CONFIG = {
    "horizon_days": [7, 14],
    "active_days": 21,
    "n_test_instants": 2,
    "train_as_of": {"start": "2026-01-15", "end": "2026-04-15", "every_days": 10},
}


@pytest.fixture(autouse=True, scope="session")
def _one_blas_thread() -> Iterator[None]:
    """As ``run_churn`` does: on tables this narrow more threads are slower."""
    with threadpool_limits(1, user_api="blas"):
        yield


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
    """A Parquet log of 800 users in 120 days of 2026 who open, click and collect."""
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
    """A folder as of 2027."""
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

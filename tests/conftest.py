"""What tests of several packages share: real servers, demanded where CI is set, and a really trained tiny model."""

import asyncio
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NoReturn

import asyncpg
import numpy as np
import pytest
import redis

from features.user import CHURN_FEATURES, KIND_FEATURES
from models.bundle import Bundle
from serving.store.postgres import open_postgres
from training.churn.export import export_churn
from training.churn.fitting import Choice, HorizonFit, fit_linear, fit_trees
from training.churn.recipe import ChurnModel

POSTGRES_URL = os.environ.get("MINGJIAN_TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/test")
REDIS_URL = os.environ.get("MINGJIAN_TEST_REDIS_URL", "redis://127.0.0.1:6379/15")


def absent(what: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(f"{what}: with CI set, the tests need it")
    pytest.skip(what)


@pytest.fixture(scope="session")
def need() -> Callable[[str], NoReturn]:
    """Skips a test, or fails it under CI, for want of something that it needs."""
    return absent


async def _execute(url: str, statement: str) -> list[Any]:
    connection = await asyncpg.connect(url, timeout=5)
    try:
        return await connection.fetch(statement)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def postgres() -> Callable[..., list[Any]]:
    """Runs a statement on the PostgreSQL server, in the database of a URL or in the one that the server gives tests."""

    def execute(statement: str, url: str = POSTGRES_URL) -> list[Any]:
        return asyncio.run(_execute(url, statement))

    try:
        execute("SELECT 1")
    except (OSError, asyncpg.PostgresError) as error:
        absent(f"no PostgreSQL at MINGJIAN_TEST_POSTGRES_URL ({type(error).__name__})")
    return execute


@pytest.fixture(scope="session")
def new_database(postgres: Callable[..., list[Any]]) -> Callable[[], AbstractContextManager[str]]:
    """Makes an empty database that lasts as long as the context, and gives its URL."""

    @contextmanager
    def making() -> Iterator[str]:
        name = f"mingjian_{secrets.token_hex(6)}"
        postgres(f"CREATE DATABASE {name}")
        yield f"{POSTGRES_URL.rpartition('/')[0]}/{name}"
        postgres(f"DROP DATABASE {name} WITH (FORCE)")

    return making


_KEEP_AS_MADE = """
    DO $$ DECLARE name text; BEGIN
        CREATE SCHEMA made;
        FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
            EXECUTE format('CREATE TABLE made.%1$I AS TABLE public.%1$I', name);
        END LOOP;
    END $$
"""
_MAKE_AS_NEW = """
    DO $$ DECLARE name text; used boolean; BEGIN
        SET LOCAL lock_timeout = '5s';
        FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'made' LOOP
            EXECUTE format('LOCK TABLE public.%I', name);  -- until who was killed writes no more
        END LOOP;
        FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'made' LOOP
            EXECUTE format('SELECT EXISTS (TABLE public.%I)', name) INTO used;
            IF used THEN
                EXECUTE format('TRUNCATE public.%1$I; INSERT INTO public.%1$I TABLE made.%1$I', name);
            END IF;
        END LOOP;
        FOR name IN SELECT sequencename FROM pg_sequences WHERE schemaname = 'public' LOOP
            EXECUTE format('ALTER SEQUENCE public.%I RESTART', name);
        END LOOP;
    END $$
"""


@pytest.fixture(scope="session")
def migrated_database(
    postgres: Callable[..., list[Any]], new_database: Callable[[], AbstractContextManager[str]]
) -> Iterator[str]:
    """A database with its tables, which tests use in turn: to make one takes longer than most tests."""

    async def migrate(url: str) -> None:
        async with open_postgres(url, timeout_s=30):
            pass

    with new_database() as url:
        asyncio.run(migrate(url))
        postgres(_KEEP_AS_MADE, url)
        yield url


@pytest.fixture
def postgres_url(
    postgres: Callable[..., list[Any]],
    new_database: Callable[[], AbstractContextManager[str]],
    migrated_database: str,
) -> Iterator[str]:
    """A database that is the test's own for as long as it runs, as if it had just been made; a new one where somebody
    still holds on to that.
    """
    try:
        postgres(_MAKE_AS_NEW, migrated_database)
    except asyncpg.PostgresError:
        with new_database() as url:
            yield url
    else:
        yield migrated_database


@pytest.fixture(scope="session")
def redis_server() -> redis.Redis:
    """The Redis server."""
    server = redis.Redis.from_url(REDIS_URL, socket_timeout=5)
    try:
        server.ping()
    except redis.RedisError as error:
        absent(f"no Redis at MINGJIAN_TEST_REDIS_URL ({type(error).__name__})")
    return server


@pytest.fixture
def redis_url(redis_server: redis.Redis) -> str:
    """Where it answers."""
    return REDIS_URL


@pytest.fixture
def redis_prefix(redis_server: redis.Redis) -> Iterator[str]:
    """A prefix for the test's own keys."""
    prefix = f"test-{secrets.token_hex(6)}"
    yield prefix
    for key in redis_server.scan_iter(f"{prefix}:*", count=1_000):
        redis_server.unlink(key)


class RedisProcess:
    """A Redis server of the test's own, to be stopped, started and spoilt."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = redis.Redis.from_url(self.url)
        self._folder = folder
        self.start()

    def start(self) -> None:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self._folder)]
        with (self._folder / "redis.log").open("a") as log:
            self._process = subprocess.Popen(["redis-server", *options], stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while not self._answers():
            started = self._process.poll() is None and time.monotonic() < deadline
            assert started, (self._folder / "redis.log").read_text()
            time.sleep(0.01)

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="session")
def new_redis(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], AbstractContextManager[RedisProcess]]:
    """Starts a Redis server that lasts as long as the context."""
    if not shutil.which("redis-server"):
        absent("no redis-server to start")

    @contextmanager
    def running() -> Iterator[RedisProcess]:
        server = RedisProcess(tmp_path_factory.mktemp("redis"))
        yield server
        server.client.close()
        server.stop()

    return running


@pytest.fixture
def own_redis(new_redis: Callable[[], AbstractContextManager[RedisProcess]]) -> Iterator[RedisProcess]:
    """See ``RedisProcess``."""
    with new_redis() as server:
        yield server


@pytest.fixture(scope="session")
def eventually() -> Callable[[Callable[[], Any]], None]:
    """Polls until a condition holds; what is promised within seconds may take a busy machine half a minute."""

    def wait(condition: Callable[[], Any]) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, "did not happen within 30 s"
            time.sleep(0.01)

    return wait


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


TINY_FEATURES = (*CHURN_FEATURES, *KIND_FEATURES["collect"], *KIND_FEATURES["purchase"])


@pytest.fixture(scope="session")
def tiny_rows() -> np.ndarray:
    """600 made-up feature vectors, one value in ten missing."""
    rng = np.random.default_rng(5)
    rows = rng.gamma(1.0, 20.0, (600, len(TINY_FEATURES))).astype(np.float32)
    rows[rng.random(rows.shape) < 0.1] = np.nan
    return rows


@pytest.fixture(scope="session")
def tiny_model(tiny_rows: np.ndarray) -> ChurnModel:
    """Horizons of 7 and 30 days over the core features and two kinds', each with trees, a linear part and a drift."""
    known = np.nan_to_num(tiny_rows, nan=20.0)
    rng = np.random.default_rng(6)
    fits = []
    for horizon_days, weight in ((7, 0.25), (30, 0.75)):
        z = (known[:, 0] - 2 * known[:, 4] + known[:, 11]) / 20 + 20 / horizon_days
        y = (rng.random(len(z)) < 1 / (1 + np.exp(-z))).astype(np.float64)
        choice = Choice(n_trees=20, inverse_penalty=0.3, tree_weight=weight, slope=1.3, intercept=-0.2)
        linear, recency = fit_linear(tiny_rows, y, 0.3), fit_linear(tiny_rows[:, :1], y, 0.3)
        fits.append(HorizonFit(horizon_days, choice, 0.1, fit_trees(tiny_rows, y, 20, 7), linear, recency, 0.5))
    return ChurnModel(TINY_FEATURES, tuple(fits), active_days=60)


@pytest.fixture(scope="session")
def tiny_release(tiny_model: ChurnModel) -> Callable[[Path], Bundle]:
    """Writes the model below a folder as the trainer does."""
    return lambda folder: export_churn(tiny_model, folder)

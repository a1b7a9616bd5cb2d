"""Real servers for the tests: used where they answer, skipped visibly elsewhere, demanded where CI is set."""

import asyncio
import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import asyncpg
import pytest
import redis

POSTGRES_URL = os.environ.get("MINGJIAN_TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/test")
REDIS_URL = os.environ.get("MINGJIAN_TEST_REDIS_URL", "redis://127.0.0.1:6379/15")


def absent(what: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(f"{what}: with CI set, the tests need it")
    pytest.skip(what)


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


@pytest.fixture
def postgres_url(postgres: Callable[..., list[Any]]) -> Iterator[str]:
    """An empty database of the test's own."""
    name = f"mingjian_{secrets.token_hex(6)}"
    postgres(f"CREATE DATABASE {name}")
    yield f"{POSTGRES_URL.rpartition('/')[0]}/{name}"
    postgres(f"DROP DATABASE {name} WITH (FORCE)")


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
        while True:
            try:
                self.client.ping()
            except redis.RedisError:
                assert self._process.poll() is None, (self._folder / "redis.log").read_text()
            else:
                return

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    """See ``RedisProcess``."""
    if not shutil.which("redis-server"):
        absent("no redis-server to start")
    server = RedisProcess(tmp_path_factory.mktemp("redis"))
    yield server
    server.client.close()
    server.stop()

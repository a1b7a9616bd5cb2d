"""Tiny real models, released as the agent releases, and the app around it with a clock that tests hold."""

import http.client
import io
import json
import logging
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from onnx import TensorProto, helper, numpy_helper
from pydantic import PostgresDsn, RedisDsn, Secret

from features.ngrams import N_BUCKETS, SHELVES, hashed_ngrams
from features.text.lexicons import Lexicons
from features.text.signals import N_SIGNALS
from features.user import CHURN_FEATURES
from models.bundle import GOLDEN, MODEL, Bundle, Golden, write_bundle
from models.churn.scorer import INPUT, OUTPUT, ChurnSettings
from models.contract import Contract
from models.pointer import Pointer, write_pointer
from models.quality.parts import Blend, Embedding, QualityParts, WidePart
from models.quality.settings import EMBEDDING_DIM, Label, LabelKind, QualitySettings
from models.recommend.candidates import NoteStatistics, Pool, feature_names
from models.recommend.graph import source_graph
from models.recommend.settings import RecommendSettings
from models.recommend.sources import NeighbourSource, NeighbourTable
from models.recommend.tables import encode_tables
from models.recommend.vectors import NoteVectors
from serving.app import create_app
from serving.logs import JsonLine
from serving.server import server_of
from serving.settings import Settings
from serving.store.database import Database
from serving.store.postgres import PostgresDatabase, open_postgres
from serving.store.redis_states import RedisStates, open_redis
from serving.store.sql_journal import SqlJournal
from serving.store.sqlite_file import SqliteFile, open_sqlite
from serving.store.sqlite_states import SqliteStates
from serving.store.state import StateStore
from tests.serving.failing_graphs import without

ROOT = Path(__file__).parents[2]
NOW = datetime(2025, 5, 1, 12, tzinfo=UTC)
FEATURES = tuple(one.name for one in CHURN_FEATURES)
SETTINGS = ChurnSettings(FEATURES, horizon_days=(7, 14, 30), active_days=60, thresholds=(0.6, 0.5, 0.4))


def churn_graph(bias: float, *, guard_nan: bool, activation: str) -> bytes:
    """activation(bias + 0.02 x days since last activity - 0.5 per horizon); guarded, a missing feature counts 0."""
    weight = np.zeros((len(FEATURES), 3), np.float32)
    weight[0] = 0.02
    constants = {"weight": weight, "bias": np.float32([bias, bias - 0.5, bias - 1]), "zero": np.float32([0])}
    guard = [
        helper.make_node("IsNaN", [INPUT], ["missing"]),
        helper.make_node("Where", ["missing", "zero", INPUT], ["x"]),
    ]
    nodes = [
        *(guard if guard_nan else [helper.make_node("Identity", [INPUT], ["x"])]),
        helper.make_node("Gemm", ["x", "weight", "bias"], ["raw"]),
        helper.make_node(activation, ["raw"], [OUTPUT]),
    ]
    graph = helper.make_graph(
        nodes,
        "churn",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, len(FEATURES)])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, 3])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def churn_golden(bias: float, *, activation: str) -> Golden:
    """Three synthetic users and what the graph must answer, worked out without it."""
    features = np.zeros((3, len(FEATURES)), np.float32)
    features[:, 0] = [0, 10, np.nan]
    raw = bias + 0.02 * np.nan_to_num(features[:, :1]).astype(np.float64) - np.array([0, 0.5, 1])
    answers = 1 / (1 + np.exp(-raw)) if activation == "Sigmoid" else raw
    return Golden({INPUT: features}, {OUTPUT: answers.astype(np.float32)})


LABELS = (
    Label("spam", LabelKind.HARM, threshold=0.5, precision=0.9),
    Label("useful", LabelKind.MERIT, threshold=0.5, precision=0.9),
    Label("story", LabelKind.NEUTRAL, threshold=0.5, precision=0.9),
)
WORDS = ("微信", "攻略", "昨天")


@cache
def quality_bundle(weight: float) -> Bundle:
    """Each label is likely where its word stands: P = sigmoid(weight / square root of the n-grams - 2)."""
    from training.quality.export import export_quality  # brings torch, which tests of users need not wait for
    from training.quality.recipe import QualityModel

    table = np.zeros((N_BUCKETS, len(LABELS)), np.float16)
    for column, (first, second) in enumerate(WORDS):
        for place in (1, 2):  # title and body
            whole, *parts = (hashed_ngrams(text, field=place)[0] for text in (first + second, first, second))
            table[[one for one in whole if one in SHELVES[2] and one not in np.concatenate(parts)], column] = weight
    zeros, ones = np.zeros(len(LABELS), np.float32), np.ones(len(LABELS), np.float32)
    scale = np.zeros(N_SIGNALS, np.float32), np.ones(N_SIGNALS, np.float32)
    wide = WidePart(table, np.ones_like(table), *scale, np.zeros((N_SIGNALS, len(LABELS)), np.float32), zeros - 2)
    parts = QualityParts(wide, Blend(zeros, ones, ones, ones, zeros))
    settings = QualitySettings(LABELS, "none", None, promote_from=70, limit_below=25)
    with TemporaryDirectory() as folder:
        return export_quality(QualityModel(settings, (), parts, None, Lexicons.load()), None, Path(folder))


@cache
def reading_bundle() -> Bundle:
    """A quality model that flags nothing, finds every note middling, and embeds notes by the built-in encoder."""
    import torch

    from models.quality.encoders.graph import encoder_graph
    from models.quality.encoders.use_v3_wheel import load_use_v3
    from models.quality.network import Tower
    from training.quality.export import ExportedEncoder, export_quality
    from training.quality.recipe import QualityModel

    torch.manual_seed(3)
    encoder = load_use_v3()
    tower, n = Tower(encoder, len(LABELS)).eval(), len(LABELS)
    zeros, ones = np.zeros(n, np.float32), np.ones(n, np.float32)
    table = np.zeros((N_BUCKETS, n), np.float16)
    scale = np.zeros(N_SIGNALS, np.float32), np.ones(N_SIGNALS, np.float32)
    wide = WidePart(table, np.ones_like(table), *scale, np.zeros((N_SIGNALS, n), np.float32), zeros - 2)
    axes = np.linalg.qr(np.random.default_rng(4).standard_normal((512, EMBEDDING_DIM)))[0].astype(np.float32)
    embedding = Embedding(np.zeros(512, np.float32), axes)
    parts = QualityParts(wide, Blend(zeros, ones, ones, ones, zeros), tower.deep_part(), embedding)
    settings = QualitySettings(LABELS, "builtin:use-v3", 24, promote_from=101, limit_below=-1)
    exported = ExportedEncoder(encoder_graph(encoder), encoder.tokenizer().to_str(), in_8_bits=False)
    with TemporaryDirectory() as folder:
        model = QualityModel(settings, (), parts, tower, Lexicons.load())
        return export_quality(model, exported, Path(folder))


NEIGHBOURS = {"tea": {"coffee": 0.9, "milk": 0.5}, "coffee": {"tea": 0.9, "cake": 0.8}, "hill": {"lake": 0.7}}
NOTES = ("tea", "coffee", "milk", "cake", "hill", "lake", "rare")
"""A recommender's notes, the most popular first but for ``rare``, which had no event."""


def recommend_bundle(folder: Path, encoder: str | None = None) -> Bundle:
    """A recommender that orders by its one source, and knows content where it requires an encoder."""
    numbers = {note_id: place for place, note_id in enumerate(NOTES)}
    notes, weights = np.zeros((len(NOTES), 2), np.uint16), np.zeros((len(NOTES), 2), np.float32)
    for note_id, own in NEIGHBOURS.items():
        notes[numbers[note_id], : len(own)] = [numbers[one] for one in own]
        weights[numbers[note_id], : len(own)] = [*own.values()]
    source = NeighbourSource("similar", NeighbourTable(notes, weights), 0.0)
    settings = RecommendSettings(("similar",), (0.0,), content=encoder is not None)
    features = feature_names(["similar"], with_content=encoder is not None)
    by = "content" if encoder else "similar"
    statistics = replace(NoteStatistics.none(7), n_events=np.array([60, 50, 40, 30, 20, 10, 0], np.float32))
    golden = Golden({"features": np.ones((1, len(features)), np.float32)}, {"score": np.full((1, 1), 2, np.float32)})
    files = {MODEL: source_graph(by, features).SerializeToString(), GOLDEN: golden.encode()}
    tables = encode_tables(NOTES, Pool((source,), statistics, NoteVectors.none(len(NOTES))))
    requires = {"quality": encoder} if encoder else {}
    return write_bundle(folder, settings.contract(), {**files, **tables}, requires=requires)


@dataclass
class Registry:
    """Stands for the release agent: writes bundles and moves pointers."""

    folder: Path
    n_releases: int = 0

    def bundle(
        self,
        bias: float = 0.0,
        *,
        guard_nan: bool = True,
        activation: str = "Sigmoid",
        contract: Contract | None = None,
        files: dict[str, bytes] | None = None,
    ) -> Bundle:
        """Write a bundle, good unless told otherwise."""
        graph = churn_graph(bias, guard_nan=guard_nan, activation=activation)
        made = {MODEL: graph, GOLDEN: churn_golden(bias, activation=activation).encode()}
        return write_bundle(self.folder / "churn", contract or SETTINGS.contract(), made | (files or {}))

    def point(self, digest: str, role: str = "champion", *, model: str = "churn") -> Pointer:
        self.n_releases += 1
        pointer = Pointer(digest, str(self.n_releases), "2025-04-30T00:00:00Z", {"auc": 0.8})
        write_pointer(self.folder, model, role, pointer)
        return pointer

    def release(self, bias: float = 0.0, role: str = "champion") -> Pointer:
        return self.point(self.bundle(bias).digest, role)

    def release_quality(self, weight: float = 40.0, role: str = "champion") -> Pointer:
        made = quality_bundle(weight)
        bundle = write_bundle(self.folder / "quality", made.contract, made.files)
        return self.point(bundle.digest, role, model="quality")

    def release_failing(self, how: str = "raises") -> Pointer:
        """Release a quality model whose graph fails on notes with a certain word: see ``failing_graphs``."""
        made = quality_bundle(40.0)
        files = {**made.files, MODEL: without(made.files[MODEL], how=how)}
        bundle = write_bundle(self.folder / "quality", made.contract, files)
        return self.point(bundle.digest, model="quality")

    def release_reader(self, role: str | None = "champion") -> str:
        """Write the bundle that embeds notes, and point a slot at it; its digest."""
        made = reading_bundle()
        bundle = write_bundle(self.folder / "quality", made.contract, made.files)
        if role:
            self.point(bundle.digest, role, model="quality")
        return bundle.digest

    def release_recommender(self, encoder: str | None = None, role: str = "champion") -> Pointer:
        return self.point(recommend_bundle(self.folder / "recommend", encoder).digest, role, model="recommend")


@dataclass
class Clock:
    """What the app takes for the time."""

    now: datetime = NOW

    def __call__(self) -> int:
        return round(self.now.timestamp()) * 1_000_000


@dataclass
class World:
    """An app's settings, clock and releases; ``open`` starts the app and gives a client."""

    settings: Settings
    registry: Registry
    clock: Clock = field(default_factory=Clock)

    def app(self, **changed: Any) -> FastAPI:
        return create_app(self.settings.model_copy(update=changed), clock=self.clock)

    def open(self, **changed: Any) -> TestClient:
        return TestClient(self.app(**changed), raise_server_exceptions=True)


@pytest.fixture(scope="session")
def make_world() -> Callable[..., World]:
    """Makes a world around a folder, for tests that share one."""

    def make(folder: Path, **changed: Any) -> World:
        patient = {"open_access": True, "poll_s": 0.01, "repair_s": 3600, "store_timeout_s": 30, "health_max_age_s": 0}
        settings = Settings(data_dir=folder, **patient | changed)
        return World(settings, Registry(settings.bundles))

    return make


@pytest.fixture
def world(make_world: Callable[..., World], tmp_path: Path) -> World:
    return make_world(tmp_path)


@pytest.fixture(scope="session")
def listen() -> Callable[..., AbstractContextManager[str]]:
    """Serves an app, on a port of its own unless one is given, while the context lasts, and gives its ``host:port``.

    ``bounds`` are settings of the server around the app.
    """

    @contextmanager
    def serving(app: FastAPI, port: int = 0, **bounds: Any) -> Iterator[str]:
        with socket.create_server(("127.0.0.1", port)) as listening:
            server = server_of(app, Settings().model_copy(update=bounds))
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
            thread.start()
            try:
                while thread.is_alive() and not server.started:
                    time.sleep(0.01)
                yield "{}:{}".format(*listening.getsockname())
            finally:
                server.should_exit = True
                thread.join()

    return serving


@pytest.fixture
def free_port() -> int:
    """A port for what must know its own address before it listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture
def client(world: World) -> Iterator[TestClient]:
    """A client of a running app with a champion, no keys needed."""
    world.registry.release()
    with world.open() as client:
        yield client


@pytest.fixture
def event() -> Callable[..., dict[str, Any]]:
    """Makes an event as JSON: ``days`` and ``hours`` are its age."""
    n_made = 0

    def make(user_id: str = "u1", *, days: float = 1, hours: float = 0, **fields: Any) -> dict[str, Any]:
        nonlocal n_made
        n_made += 1
        occurred_at = (NOW - timedelta(days=days, hours=hours)).isoformat()
        return {"event_id": f"e{n_made}", "user_id": user_id, "event": "open", "occurred_at": occurred_at} | fields

    return make


@pytest.fixture
def send(client: TestClient) -> Callable[..., list[dict[str, Any]]]:
    """Posts events and gives their results."""

    def post(*events: dict[str, Any]) -> list[dict[str, Any]]:
        answer = client.post("/v1/events", json={"events": events})
        assert answer.status_code == 200, answer.text
        return answer.json()["results"]

    return post


@pytest.fixture
def score(client: TestClient) -> Callable[..., dict[str, Any]]:
    """Scores users and gives the whole answer."""

    def post(*user_ids: str, **fields: Any) -> dict[str, Any]:
        answer = client.post("/v1/users:score", json={"user_ids": user_ids} | fields)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return post


@pytest.fixture(params=["sqlite", "postgres and redis"])
def stores(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The settings of each pair of stores that is meant for production."""
    if request.param == "sqlite":
        return {}
    return {
        "journal_url": Secret(PostgresDsn(request.getfixturevalue("postgres_url"))),
        "state_url": Secret(RedisDsn(request.getfixturevalue("own_redis").url)),
    }


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[SqliteFile]:
    async with open_sqlite(tmp_path / "test.db", timeout_s=30) as file:
        yield file


@pytest.fixture
async def postgres_database(postgres_url: str) -> AsyncIterator[PostgresDatabase]:
    async with open_postgres(postgres_url, timeout_s=30) as database:
        yield database


@pytest.fixture
async def sqlite_states(sqlite: SqliteFile) -> SqliteStates:
    return SqliteStates(sqlite)


@pytest.fixture
async def redis_states(redis_url: str, redis_prefix: str) -> AsyncIterator[RedisStates]:
    async with open_redis(redis_url, ttl_s=3600, timeout_s=30, prefix=redis_prefix) as states:
        yield states


@pytest.fixture(params=["sqlite", "postgres_database"])
def database(request: pytest.FixtureRequest) -> Database:
    """Each kind of database, empty."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def journal(database: Database) -> SqlJournal:
    """Each kind of journal; with ``states``, every pair."""
    return SqlJournal(database)


@pytest.fixture(params=["sqlite_states", "redis_states"])
def states(request: pytest.FixtureRequest) -> StateStore:
    """Each kind of state store, empty."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module", params=["sqlite", "postgres_and_redis"])
def store_pair(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """The settings of each pair of stores that is served, empty: for tests that share one app."""
    if request.param == "sqlite":
        yield {}
        return
    with request.getfixturevalue("new_database")() as url, request.getfixturevalue("new_redis")() as server:
        yield {"journal_url": Secret(PostgresDsn(url)), "state_url": Secret(RedisDsn(server.url))}


class Server:
    """A server process over a data folder."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.log = folder / "server.log"
        command = [sys.executable, "-m", "serving", "run", "--port", str(self.port)]
        with self.log.open("a") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)

    def call(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers["content-type"] = "application/json"
        try:
            connection.request(method, path, json.dumps(body) if body else None, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def wait(self):
        deadline = time.monotonic() + 60
        while not self.answers():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)
        return self

    def answers(self):
        try:
            return self.call("GET", "/livez")
        except OSError:
            return None

    def wait_until_closed(self):
        """Until no further connection is taken."""
        deadline = time.monotonic() + 30
        with suppress(OSError):
            while time.monotonic() < deadline:
                socket.create_connection(("127.0.0.1", self.port), timeout=10).close()
                time.sleep(0.01)
            raise AssertionError("still open")

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        return self.process.wait(60)


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder for the processes that ``serve`` starts, and for ``main``."""
    monkeypatch.setenv("MINGJIAN_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MINGJIAN_STORE_TIMEOUT_S", "30")
    return tmp_path


@pytest.fixture
def serve(data_dir: Path) -> Iterator[Callable[[], Server]]:
    """Starts server processes, and ends those that a test left."""
    servers: list[Server] = []

    def start() -> Server:
        servers.append(Server(data_dir))
        return servers[-1].wait()

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.stop(signal.SIGKILL)


PLANTED = "planted-secret"
"""What tests put into ids, names, values and bodies: no log may ever hold it."""


@pytest.fixture(autouse=True)
def nothing_planted_is_logged() -> Iterator[io.StringIO]:
    """Fails every test that has the app log something planted, at any level, in any field."""
    stream, root, serving = io.StringIO(), logging.getLogger(), logging.getLogger("serving")
    handler, level = logging.StreamHandler(stream), serving.level
    handler.setFormatter(JsonLine())
    handler.addFilter(lambda record: not record.name.startswith("httpx2"))  # the tests' own client
    root.addHandler(handler)
    serving.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    serving.setLevel(level)
    assert PLANTED not in stream.getvalue()

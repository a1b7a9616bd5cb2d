"""Judging a challenger on what a champion showed: the estimate is right where a plain mean would mislead."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.sources import Dataset
from models.bundle import GOLDEN, MODEL, Golden, write_bundle
from models.recommend.candidates import NoteStatistics, Pool, feature_names
from models.recommend.graph import source_graph
from models.recommend.scorer import RecommendScorer
from models.recommend.settings import INPUT, OUTPUT, RecommendSettings
from models.recommend.sources import NeighbourSource, NeighbourTable
from models.recommend.tables import encode_tables
from models.recommend.vectors import NoteVectors
from training.recommend.comparison import Recommender
from training.recommend.config import RecommendConfig
from training.recommend.off_policy import GATE, click_rate_difference, compare_on_log, read_histories, read_log

START = datetime(2026, 1, 1, tzinfo=UTC)
CLICK_RATE = {"good": 0.6, "bad": 0.1}
NOTES = ("seed", "good", "bad")


@pytest.fixture
def recommender(tmp_path: Path) -> Callable[[str], Recommender]:
    """A recommender that shows one note, the one named, to whoever took up ``seed``."""

    def make(note_id: str) -> Recommender:
        notes, weights = np.zeros((3, 1), np.uint16), np.zeros((3, 1), np.float32)
        notes[0, 0], weights[0, 0] = NOTES.index(note_id), 1
        source = NeighbourSource("similar", NeighbourTable(notes, weights), 0.0)
        settings, features = RecommendSettings(("similar",), (0.0,)), feature_names(["similar"])
        golden = Golden({INPUT: np.ones((1, len(features)), np.float32)}, {OUTPUT: np.full((1, 1), 2, np.float32)})
        statistics = NoteStatistics.none(3)
        graph = source_graph("similar", features)
        files = {MODEL: graph.SerializeToString(), GOLDEN: golden.encode()}
        tables = encode_tables(NOTES, Pool((source,), statistics, NoteVectors.none(3)))
        return Recommender(RecommendScorer(write_bundle(tmp_path, settings.contract(), {**files, **tables})), None)

    return make


@pytest.fixture
def simulate(tmp_path: Path) -> Callable[..., Dataset]:
    """A log of a champion that shows one note a feed: ``favourite`` most of the time, else the other."""

    def run(n_users: int, favourite: str, *, share: float = 0.8, seed: int = 0) -> Dataset:
        rng = np.random.default_rng(seed)
        other = "bad" if favourite == "good" else "good"
        shown = np.where(rng.random(n_users) < share, favourite, other).tolist()
        clicked = [rng.random() < CLICK_RATE[note] for note in shown]
        taken_up = [(f"s{user}", f"u{user}", "read", "seed", START, None) for user in range(n_users)]
        later = START + timedelta(hours=2)
        clicks = [
            (f"c{user}", f"u{user}", "click", note, later, f"r{user}")
            for user, (note, is_clicked) in enumerate(zip(shown, clicked, strict=True))
            if is_clicked
        ]
        columns = ("event_id", "user_id", "event", "note_id", "occurred_at", "recommendation_id")
        write(tmp_path / "log" / "events.parquet", columns, [*taken_up, *clicks])
        rows = [
            (f"r{user}", 0, START + timedelta(hours=1), f"u{user}", note, "similar", "exploit", "home", chance)
            for user, note in enumerate(shown)
            for chance in [share if note == favourite else 1 - share]
        ]
        columns = (
            "recommendation_id",
            "place",
            "recommended_at",
            "user_id",
            "note_id",
            "source",
            "arm",
            "scene",
            "propensity",
        )
        write(tmp_path / "log" / "recommendations.parquet", columns, rows)
        return Dataset(tmp_path / "log", now=round(datetime(2027, 1, 1, tzinfo=UTC).timestamp() * 1e6))

    return run


def write(path: Path, columns: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    path.parent.mkdir(exist_ok=True)
    values = dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True))
    pq.write_table(pa.table(values), path)


def test_the_interval_covers_what_the_challenger_would_earn(
    recommender: Callable[[str], Recommender], simulate: Callable[..., Dataset]
) -> None:
    log = simulate(4_000, "bad")
    (gate,) = compare_on_log(recommender("good"), recommender("bad"), log, RecommendConfig())
    assert gate.interval is not None
    assert gate.interval[0] < 0.5 < gate.interval[1]
    assert gate.passed
    assert gate.value == pytest.approx(0.5, abs=0.05)


def test_a_worse_challenger_is_refused(
    recommender: Callable[[str], Recommender], simulate: Callable[..., Dataset]
) -> None:
    (gate,) = compare_on_log(recommender("bad"), recommender("good"), simulate(4_000, "good"), RecommendConfig())
    assert not gate.passed
    assert str(gate).startswith(f"{GATE} -0.5")


def test_the_same_model_differs_from_itself_by_nothing(
    recommender: Callable[[str], Recommender], simulate: Callable[..., Dataset]
) -> None:
    (gate,) = compare_on_log(recommender("good"), recommender("good"), simulate(4_000, "good"), RecommendConfig())
    assert (gate.value, gate.passed) == (0, True)


def test_a_small_log_decides_nothing_and_says_so(
    recommender: Callable[[str], Recommender], simulate: Callable[..., Dataset]
) -> None:
    (gate,) = compare_on_log(recommender("bad"), recommender("good"), simulate(100, "good"), RecommendConfig())
    assert gate.passed
    assert gate.remark.startswith("the log is too small to decide")
    assert gate.to_json()["remark"] == gate.remark


def test_without_a_log_nothing_is_said(
    recommender: Callable[[str], Recommender], simulate: Callable[..., Dataset]
) -> None:
    log = simulate(100, "good")
    (Path(log.folder) / "recommendations.parquet").unlink()
    without = Dataset(log.folder, now=round(datetime(2027, 1, 1, tzinfo=UTC).timestamp() * 1e6))
    assert compare_on_log(recommender("bad"), recommender("good"), without, RecommendConfig()) == []


def test_a_history_ends_before_its_feed(simulate: Callable[..., Dataset]) -> None:
    dataset = simulate(50, "good")
    log = read_log(dataset)
    assert set(map(tuple, read_histories(dataset, log, RecommendConfig()))) == {("seed",)}
    assert log.is_clicked.any()


def test_weights_by_hand(simulate: Callable[..., Dataset]) -> None:
    """Four notes, two policies: (2 * 1 + 4 * 0) / 6 for the one, (1 * 0 + 4 * 0 + 1 * 1) / 6 for the other."""
    log = read_log(simulate(4, "good"))
    clicked = np.array([True, False, False, True])
    given = type(log)(np.arange(4), log.note_id, log.propensity, clicked, log.users, log.at)
    ours, theirs = np.array([2.0, 0, 4, 0]), np.array([0, 1.0, 4, 1])
    difference, _, _ = click_rate_difference(given, ours, theirs, rng=np.random.default_rng(0))
    assert difference == pytest.approx(2 / 6 - 1 / 6)

"""``python -m training recommend``: what it leaves, and its exit status."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from models.recommend.scorer import RecommendScorer
from training.__main__ import main
from training.release import fetch
from training.tracking import CHALLENGER, CHAMPION, Registry

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    file = tmp_path / "recommend.toml"
    file.write_text("n_neighbours = 20\ngates.min_coverage_ratio = 0.9\n", encoding="utf-8")
    return file


@pytest.mark.slow
def test_a_recommender_is_trained_registered_and_promoted_if_it_holds_its_own(
    walks: Path, config_file: Path, home: Path, registry: Registry, tmp_path: Path, capsys: Capture
) -> None:
    report = tmp_path / "report.json"
    data = ["--data", str(walks), "--config", str(config_file)]
    assert main(["--home", str(home), "recommend", *data, "--report", str(report)]) == 0
    assert "registered mingjian-recommend version 1 as challenger" in capsys.readouterr().out
    written = json.loads(report.read_text(encoding="utf-8"))
    assert (written["task"], written["protocol"], written["gates"]["passed"]) == ("recommend", "leave-one-out", True)
    for name in ("model", "popularity", "item_knn", "als"):
        assert {"hr@10", "ndcg@10", "hr@10_se", "ndcg@10_se", "coverage", "gini"} == written[name].keys()
    challenger = registry.find("recommend", CHALLENGER)
    assert challenger is not None
    assert (card := next(home.rglob("model_card.md"))).read_text(encoding="utf-8").startswith("# Recommender")
    assert "| tuned item-KNN |" in card.read_text(encoding="utf-8")
    scorer = RecommendScorer(fetch(registry, challenger, tmp_path / "fetched"))
    assert len(scorer.recommend([["n001"]], n=10)[0]) == 10
    assert main(["--home", str(home), "promote", "recommend", *data]) == 0
    number = registry.register("recommend", challenger.run_id, tmp_path / "fetched" / challenger.digest, {}).number
    assert main(["--home", str(home), "promote", "recommend", *data]) == 0  # its own twin: no worse
    champion = registry.find("recommend", CHAMPION)
    assert champion is not None
    assert champion.number == number


def test_a_failed_gate_ends_with_status_2(
    walks: Path, config_file: Path, home: Path, registry: Registry, tmp_path: Path
) -> None:
    config_file.write_text("gates.min_ndcg_difference = 0.9\n", encoding="utf-8")
    report = tmp_path / "report.json"
    arguments = ["recommend", "--data", str(walks), "--config", str(config_file), "--report", str(report)]
    assert main(["--home", str(home), *arguments, "--protocol", "temporal"]) == 2
    written = json.loads(report.read_text(encoding="utf-8"))
    assert (written["protocol"], written["gates"]["ndcg_difference"]["passed"]) == ("temporal", False)
    assert registry.find("recommend", CHALLENGER) is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("", "0 users acted on three notes or more"),
        ("events = ['dance']", "recommend.toml: events: dance not in the vocabulary"),
        ("events = []", "recommend.toml: events: expected at least one kind of event"),
        ("protocol = 'random'", "recommend.toml: protocol: Input should be 'leave-one-out' or 'temporal'"),
        ("n_neighbors = 5", "recommend.toml: n_neighbors: Extra inputs are not permitted"),
    ],
)
def test_what_cannot_be_trained_is_said_in_the_report(
    community_without_notes: Path, config_file: Path, home: Path, tmp_path: Path, settings: str, message: str,
) -> None:  # fmt: skip
    config_file.write_text(settings, encoding="utf-8")
    report = tmp_path / "report.json"
    data = ["--data", str(community_without_notes), "--config", str(config_file)]
    assert main(["--home", str(home), "recommend", *data, "--report", str(report)]) == 1
    written = json.loads(report.read_text(encoding="utf-8"))
    assert (written["task"], written["model"], written["gates"]) == ("recommend", {}, {"passed": False})
    assert message in written["error"]


@pytest.fixture
def community_without_notes(write_log: Callable[..., Path]) -> Path:
    return write_log([("u", "like", "", minute) for minute in range(5)])

"""What a run leaves to read: the report's keys, the model card, the plots."""

import csv
import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from features.sources import Dataset
from training.churn.card import write_card
from training.churn.config import ChurnConfig
from training.churn.evaluation import Evaluation
from training.churn.recipe import ChurnTraining
from training.churn.run import ChurnRun, run_churn
from training.gates import Gate
from training.plots import draw_roc
from training.runs import code_revision, to_json, write_report

FIGURES = {"auc", "auc_low", "auc_high", "pr_auc", "brier", "ece"}


@pytest.fixture(scope="session")
def run(
    community: Path,
    open_dataset: Callable[[Path], Dataset],
    configure: Callable[..., ChurnConfig],
    tmp_path_factory: pytest.TempPathFactory,
) -> ChurnRun:
    """A whole run, not registered."""
    bundles = tmp_path_factory.mktemp("run")
    return run_churn(configure(n_test_instants=1), open_dataset(community), bundles, lambda what, done, total: None)


def test_the_report_has_the_keys_that_were_agreed(run: ChurnRun, tmp_path: Path) -> None:
    write_report(run.report, tmp_path / "reports" / "churn.json")
    report = json.loads((tmp_path / "reports" / "churn.json").read_text(encoding="utf-8"))
    assert report["task"] == "churn"
    assert len(report["data_digest"]) == 64
    assert list(report["horizons"]) == ["7", "14"]
    for horizon in report["horizons"].values():
        assert horizon.keys() == {"n", "base_rate", "model", "recency", "logistic"}
        assert all(horizon[name].keys() == FIGURES | {"lift_at_10"} for name in ("model", "recency", "logistic"))
    assert report["gates"].keys() == {"passed", "auc_difference", "ece", "parity"}
    assert report["gates"]["passed"] is True


def test_the_report_says_when_against_what_and_for_whom(run: ChurnRun) -> None:
    rest = run.report.keys() - {"task", "data_digest", "horizons", "gates"}
    assert rest == {"test_as_of", "paired_auc_difference", "slices", "importance", "ablation", "ece_by_chance"}
    assert run.report["test_as_of"] == ["2023-04-17"]
    assert run.report["paired_auc_difference"].keys() == {"recency", "logistic"}
    assert run.report["paired_auc_difference"]["recency"].keys() == {"mean", "low", "high", "n_instants"}


def test_what_is_not_a_number_becomes_null() -> None:
    values = {"a": [float("nan"), 1.5], "b": {"c": float("inf"), "d": (-float("inf"),)}, "e": "NaN", "名": True}
    assert json.loads(to_json(values)) == {"a": [None, 1.5], "b": {"c": None, "d": [None]}, "e": "NaN", "名": True}
    assert "名" in to_json(values)


def test_a_run_leaves_parameters_metrics_tables_plots_and_card(run: ChurnRun) -> None:
    record = run.record()
    assert record.params["data_digest"] == run.report["data_digest"]
    assert (record.params["seed"], record.params["horizon_days"]) == ("7", "[7, 14]")
    assert record.tags == {"gates": "passed", "code_revision": code_revision()}
    assert record.metrics["h14.model.auc"] == run.report["horizons"]["14"]["model"]["auc"]
    assert {"h7.recency.ece", "h14.logistic.lift_at_10", "auc_difference.logistic"} <= record.metrics.keys()
    slices = list(csv.DictReader(record.files["tables/slices.csv"].decode().splitlines()))
    assert [float(one["n"]) for one in slices] == [one["n"] for one in run.report["slices"]]
    assert {f"slice.{one['slice']}.{one['group']}.ece" for one in slices} <= record.metrics.keys()
    assert json.loads(record.files["report.json"]) == json.loads(to_json(run.report))
    assert record.files["model_card.md"].startswith(b"# Churn model card")
    assert len([name for name in record.files if name.startswith("plots/")]) == 6


def test_the_revision_is_what_the_image_says_or_gits_or_unknown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MINGJIAN_REVISION", "1.2.3")
    assert code_revision() == "1.2.3"
    monkeypatch.delenv("MINGJIAN_REVISION")
    assert code_revision() == "unknown" or len(code_revision().rstrip("+")) == 40
    monkeypatch.setenv("PATH", str(tmp_path))  # no git there
    assert code_revision() == "unknown"


@pytest.fixture(scope="session")
def card(training: ChurnTraining, evaluation: Evaluation, configure: Callable[..., ChurnConfig]) -> str:
    gates = [Gate("ece", 0.05, maximum=0.1), Gate("auc_difference", -0.2, minimum=-0.005)]
    return write_card(training, evaluation, configure(), gates, data_digest="d1ge57")


def test_the_card_names_every_feature_once_and_what_it_earns(card: str, training: ChurnTraining) -> None:
    rows = card.partition("## What each feature earns")[2].splitlines()
    for feature in training.model.features:
        assert len([row for row in rows if row.startswith(f"| {feature.name} |")]) == 1


def test_the_card_gives_figures_by_horizon_predictor_and_slice(card: str, evaluation: Evaluation) -> None:
    for horizon in evaluation.horizons:
        for name, quality in horizon.qualities.items():
            assert f"| {horizon.horizon_days} | {name} | {len(horizon.y)} |" in card
            assert f"{quality.auc:.3f} ({quality.auc_low:.3f} to {quality.auc_high:.3f})" in card
    for one in evaluation.slices:
        assert f"| {one.slice} | {one.group} | {one.n} |" in card


def test_the_card_says_which_gates_failed_and_what_the_model_is_not_for(card: str) -> None:
    assert "- passed: ece 0.05, required at most 0.1" in card
    assert "- FAILED: auc_difference -0.2, required at least -0.005" in card
    assert "next 7 or 14 days" in card
    assert "active in the 21 days before" in card
    assert "SHA-256 `d1ge57`; seed 7" in card
    assert "Trained at 10 instants from 2023-01-15 to 2023-04-15" in card
    assert "## Limits" in card


def test_the_tables_of_the_card_are_rectangular(card: str) -> None:
    for table in (block for block in card.split("\n\n") if block.startswith("|")):
        assert len({line.count("|") for line in table.splitlines()}) == 1


@pytest.mark.slow
def test_every_plot_is_a_png_of_a_readable_size(run: ChurnRun) -> None:
    plots = {
        path.name: run.record().files[str(path)] for path in map(Path, run.record().files) if path.suffix == ".png"
    }
    assert set(plots) == {f"{name}.png" for name in ("roc", "pr", "calibration", "lift", "importance", "slices")}
    for image in plots.values():
        assert image[:8] == b"\x89PNG\r\n\x1a\n"
        width, height = struct.unpack(">II", image[16:24])
        assert 500 <= width <= 1500
        assert 400 <= height <= 1500
        assert 5_000 < len(image) < 200_000


def test_a_plot_is_the_same_bytes_every_time(evaluation: Evaluation) -> None:
    main = evaluation.main
    assert draw_roc(main.y, main.predictions) == draw_roc(main.y, main.predictions)

"""A quality run by the command line: what it leaves, in the report, the registry and the bundle."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from features.sources import Dataset
from models.bundle import read_bundle
from models.quality.reading import NoteText
from models.quality.scorer import QualityScorer
from models.quality.settings import LabelKind
from training.__main__ import main
from training.config import read_config
from training.quality.comparison import compare
from training.quality.config import QualityConfig
from training.quality.run import QualityData, QualityRun, run_quality
from training.runs import to_json
from training.tracking import CHALLENGER, CHAMPION, Registry

FIGURES = {"macro_f1", "macro_f1_se", "auc", "auc_se", "pr_auc", "ece"}


@pytest.fixture(scope="module")
def plain(write_notes: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Notes without any of the phrases."""
    return write_notes(tmp_path_factory.mktemp("clean") / "plain", "none", [""], n=100)


@pytest.fixture(scope="module")
def run(
    folders: list[Path],
    open_notes: Callable[..., list[Dataset]],
    plain: Path,
    config: QualityConfig,
    tmp_path_factory: pytest.TempPathFactory,
) -> QualityRun:
    """A whole run, not registered."""
    home = tmp_path_factory.mktemp("run")
    data = QualityData(open_notes(*folders), clean=open_notes(plain))
    return run_quality(config, data, home, home / "bundles", lambda what, done, total: None)


def test_the_report_has_the_keys_that_were_agreed(run: QualityRun) -> None:
    report = json.loads(to_json(run.report))
    assert report["task"] == "quality"
    assert len(report["data_digest"]) == 64
    assert list(report["labels"]) == ["abuse", "spam"]
    for label in report["labels"].values():
        assert label["n"] > 50
        assert label["split"] == "dev"
        assert label["model"].keys() == label["tfidf"].keys() == FIGURES
    assert report["gates"]["passed"] is True
    assert report["gates"].keys() == {
        "passed", "parity", "auc_difference.abuse", "auc_difference.spam", "evaded.spam"
    }  # fmt: skip


def test_notes_that_nothing_is_wrong_with_are_learnt_from_and_flags_counted_on_others(run: QualityRun) -> None:
    assert (run.report["notes"]["harmless"], run.report["notes"]["clean"]) == (50, 50)
    assert run.report["flag_rates_on_clean_notes"] == {"spam": 0.0, "any": 0.0}  # abuse was not declared a harm


def test_only_harms_are_evaded(run: QualityRun) -> None:
    assert run.report["robustness"].keys() == {"spam"}
    ways = run.report["robustness"]["spam"]["flagged_by_way"]
    assert ways["zero_width"] == run.report["robustness"]["spam"]["flagged"] > 0.8


def test_the_bundle_serves_what_was_judged(run: QualityRun) -> None:
    scorer = QualityScorer(run.bundle)
    kinds = {label.name: label.kind for label in scorer.settings.labels}
    assert kinds == {"abuse": LabelKind.NEUTRAL, "spam": LabelKind.HARM}
    plain = "第9次去西湖，顺路吃了火锅，排队不久，味道不错，下回再来。"
    notes = [NoteText("", plain + "私信我有折扣" + plain), NoteText("", plain + plain)]
    spam, none = scorer.score(notes).probability[:, 1]
    assert spam > 0.8 > 0.2 > none


def test_a_run_leaves_card_confusion_by_id_and_plots_but_no_words(run: QualityRun) -> None:
    record = run.record()
    assert record.metrics["spam.model.auc"] == run.report["labels"]["spam"]["model"]["auc"]
    assert {"report.json", "model_card.md", "tables/confusion-spam.csv", "plots/spam-roc.png"} <= record.files.keys()
    rows = list(csv.DictReader(record.files["tables/confusion-spam.csv"].decode().splitlines()))
    assert rows[0].keys() == {"note_id", "has_label", "flagged", "probability"}
    assert len(rows) == run.report["labels"]["spam"]["n"]
    for content in record.files.values():
        assert "扫码进群".encode() not in content


def test_the_card_names_every_label_and_its_limits(run: QualityRun) -> None:
    card = run.record().files["model_card.md"].decode()
    assert "| spam | harm | model |" in card
    assert "| abuse | neutral | tfidf |" in card
    assert "## Limits" in card


def test_a_label_that_was_declared_and_not_found_is_left_out_by_name(
    folders: list[Path], open_notes: Callable[..., list[Dataset]], tmp_path: Path
) -> None:
    file = tmp_path / "quality.toml"
    file.write_text('encoder = "none"\n[labels.spam]\nkind = "harm"\n[labels.clickbait]\nkind = "harm"\n')
    data = QualityData(open_notes(folders[0]))
    config = read_config(file, QualityConfig)
    report = run_quality(config, data, tmp_path, tmp_path / "bundles", lambda what, done, total: None).report
    assert report["left_out"] == {"clickbait": "no note has it"}
    assert list(report["labels"]) == ["spam"]


@pytest.mark.slow
def test_a_grade_becomes_the_quality_score(
    write_table: Callable[..., None], open_notes: Callable[..., list[Dataset]], folders: list[Path], tmp_path: Path
) -> None:
    grades = {"写得很差": 0, "还算可以": 0.5, "非常精彩": 1}
    bodies = [(phrase, f"第{place}条{phrase}的记录，{place * 3}") for place in range(120) for phrase in grades]
    notes = [{"note_id": f"g{place}", "body": body} for place, (_, body) in enumerate(bodies)]
    rows = [
        {
            "note_id": f"g{place}",
            "label": "grade",
            "value": grades[phrase],
            "split": "dev" if place % 4 == 0 else "train",
        }
        for place, (phrase, _) in enumerate(bodies)
    ]
    write_table(tmp_path / "graded", "notes", notes)
    write_table(tmp_path / "graded", "note_labels", rows)
    config = QualityConfig.model_validate({"encoder": "none", "labels": {"grade": {"kind": "grade"}}})
    data = QualityData(open_notes(folders[0], tmp_path / "graded"))
    run = run_quality(config, data, tmp_path, tmp_path / "bundles", lambda what, done, total: None)
    scorer = QualityScorer(run.bundle)
    assert [label.name for label in scorer.settings.labels] == ["spam"]
    poor, fair, good = scorer.score([NoteText("", f"今天{phrase}的记录") for phrase in grades]).quality
    assert poor < 25 < 35 < fair < 65 < 75 < good


@pytest.mark.slow
def test_a_model_lives_from_data_to_champion(
    folders: list[Path], home: Path, registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "quality.toml"
    config.write_text('encoder = "none"\n')
    data = [word for folder in folders for word in ("--data", str(folder))]
    options = ["--home", str(home)]
    report = tmp_path / "report.json"
    assert main([*options, "quality", *data, "--config", str(config), "--report", str(report)]) == 0
    assert json.loads(report.read_text(encoding="utf-8"))["gates"]["passed"] is True
    assert registry.find("quality", CHALLENGER).number == "1"
    assert main([*options, "promote", "quality", *data, "--config", str(config), "--why", "first"]) == 0
    assert registry.find("quality", CHAMPION).number == "1"
    assert main([*options, "release", "--bundles", str(tmp_path / "bundles")]) == 0
    assert "released quality champion: version 1" in capsys.readouterr().out
    (bundle,) = (path for path in (tmp_path / "bundles" / "quality").iterdir() if path.is_dir())
    assert QualityScorer(read_bundle(bundle)).settings.encoder == "none"


def test_a_run_that_cannot_be_leaves_a_report_that_says_why(
    folders: list[Path], home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, report = tmp_path / "quality.toml", tmp_path / "report.json"
    config.write_text('encoder = "word2vec"\n')
    arguments = ["quality", "--data", str(folders[0]), "--config", str(config), "--report", str(report)]
    assert main(["--home", str(home), *arguments]) == 1
    written = json.loads(report.read_text(encoding="utf-8"))
    assert (written["task"], written["labels"], written["gates"]) == ("quality", {}, {"passed": False})
    assert "unknown encoder 'word2vec'" in written["error"]
    assert "unknown encoder 'word2vec'" in capsys.readouterr().err


def test_a_challenger_that_ranks_the_wrong_way_falls_short(
    run: QualityRun, folders: list[Path], open_notes: Callable[..., list[Dataset]], config: QualityConfig
) -> None:
    scorer = QualityScorer(run.bundle)
    gates = compare(scorer, scorer, open_notes(*folders), config)
    assert [(gate.name, gate.value, gate.passed) for gate in gates] == [
        ("auc_difference_to_champion.abuse", 0.0, True), ("auc_difference_to_champion.spam", 0.0, True)
    ]  # fmt: skip

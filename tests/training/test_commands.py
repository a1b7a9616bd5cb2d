"""The command line: what each command leaves, and its exit status."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from models.bundle import MODEL
from training.__main__ import main
from training.tracking import CHALLENGER, CHAMPION, Registry, Version, embedded_uri

Capture = pytest.CaptureFixture[str]


def error_line(capture: Capture) -> str:
    """The one line on stderr that says what is wrong."""
    (line,) = (line for line in capture.readouterr().err.splitlines() if line.startswith(("error: ", "gate failed: ")))
    return line


@pytest.mark.slow
def test_a_model_lives_in_the_embedded_registry(
    live: Callable[[list[str], Registry], None], home: Path, registry: Registry, tmp_path: Path, capsys: Capture
) -> None:
    live(["--home", str(home)], registry)
    said = capsys.readouterr().out
    assert f"report: {tmp_path}/report.json\nregistered mingjian-churn version 1 as challenger\n" in said
    assert "churn version 2 is champion\nreleased churn champion: version 2\n" in said
    assert "churn version 1 is champion again\nreleased churn champion: version 1\n" in said


def test_a_failed_gate_leaves_a_report_and_a_run_and_no_version(
    shop: Path, config_file: Path, home: Path, registry: Registry, tmp_path: Path, capsys: Capture
) -> None:
    config_file.write_text(config_file.read_text() + "gates.min_auc_difference = 0.5\n")
    report = tmp_path / "reports" / "shop.json"
    arguments = ["churn", "--data", str(shop), "--config", str(config_file), "--report", str(report)]
    assert main(["--home", str(home), *arguments]) == 2
    assert error_line(capsys).startswith("gate failed: auc_difference ")
    gates = json.loads(report.read_text(encoding="utf-8"))["gates"]
    assert (gates["passed"], gates["auc_difference"]["passed"], gates["parity"]["passed"]) == (False, False, True)
    assert registry.find("churn", CHALLENGER) is None
    client = MlflowClient(embedded_uri(home / "mlflow"))
    (run,) = client.search_runs([client.get_experiment_by_name("mingjian-churn").experiment_id])
    assert run.data.tags["gates"] == "failed"
    assert not list(home.rglob(MODEL))


def test_check_says_what_a_dataset_holds(tmp_path: Path, capsys: Capture) -> None:
    rows = ["a,u,open,2023-01-01T00:00:00Z", "b,u,yawn,2023-01-01T00:00:00Z"]
    (tmp_path / "events.csv").write_text("\n".join(["event_id,user_id,event,occurred_at", *rows]))
    (tmp_path / "notes.csv").write_text("note_id,body\nn,hello\n")
    assert main(["check", "--data", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "events.csv: 2 rows",
        "  event 'yawn' is not in the vocabulary: 1 rows count as 'other'",
        "notes.csv: 1 rows",
    ]


def test_check_says_what_is_wrong_with_a_dataset(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "events.csv").write_text("event_id,user_id,event,occurred_at\na,u,open,2023-01-01\n")
    assert main(["check", "--data", str(tmp_path)]) == 1
    assert error_line(capsys).startswith(f"error: {tmp_path}/events.csv: column occurred_at: 1 row ")


def test_a_sample_that_would_end_in_the_future_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "--days", "10", "--start", "2999-01-01", "--out", str(tmp_path / "sample")]) == 1
    assert "the log would end on 2999-01-10" in capsys.readouterr().err
    assert not (tmp_path / "sample").exists()


def test_sample_writes_a_community(tmp_path: Path) -> None:
    arguments = ["sample", "--users", "20", "--days", "10", "--seed", "1", "--out", str(tmp_path / "sample")]
    assert main(arguments) == 0
    assert main(["check", "--data", str(tmp_path / "sample")]) == 0


@pytest.mark.parametrize(
    ("data", "settings", "message"),
    [
        ("absent", "", "not a folder"),
        ("community", "horizon_days = [90]", "leaves 0 training instants whose 90-day window closes by 2023-01-31"),
        ("community", "test_as_of = '2023-05-01'", "before the 30 days after test_as_of 2023-05-01 have passed"),
        ("community", "horizons = [7]", "churn.toml: horizons: Extra inputs are not permitted, got [7]"),
    ],
)
def test_what_cannot_be_trained_is_said_in_one_line(
    community: Path, home: Path, tmp_path: Path, data: str, settings: str, message: str, capsys: Capture
) -> None:
    config = tmp_path / "churn.toml"
    config.write_text(settings)
    folder = community if data == "community" else tmp_path / data
    report = tmp_path / "report.json"
    report.write_text('{"gates": {"passed": true}}')  # an earlier run's
    arguments = ["churn", "--data", str(folder), "--config", str(config), "--report", str(report)]
    assert main(["--home", str(home), *arguments]) == 1
    assert message in error_line(capsys)
    written = json.loads(report.read_text())
    assert (written["task"], written["horizons"], written["gates"]) == ("churn", {}, {"passed": False})
    assert message in written["error"]


@pytest.mark.parametrize("command", [["promote", "churn", "--data", "DATA"], ["rollback", "churn"]])
def test_what_the_registry_does_not_hold_is_said_in_one_line(
    command: list[str], community: Path, home: Path, capsys: Capture
) -> None:
    arguments = [str(community) if word == "DATA" else word for word in command]
    assert main(["--home", str(home), *arguments]) == 1
    assert error_line(capsys).startswith("error: the registry has no churn version with the alias ch")


def test_a_worse_challenger_is_refused_with_status_2(
    register: Callable[[str], Version],
    community: Path, config_file: Path, home: Path, registry: Registry, capsys: Capture,
) -> None:  # fmt: skip
    promote = ["--home", str(home), "promote", "churn", "--data", str(community), "--config", str(config_file)]
    champion = register("model")
    assert main(promote) == 0
    register("wrong")
    assert main(promote) == 2
    assert error_line(capsys).startswith("gate failed: ")
    assert registry.find("churn", CHAMPION) == champion


def test_a_registry_that_does_not_answer_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    options = ["--home", str(tmp_path), "--registry", "http://127.0.0.1:9"]
    assert main([*options, "release", "--bundles", str(tmp_path)]) == 1
    assert error_line(capsys).startswith("error: MLflow: ")


def test_a_report_that_cannot_be_written_is_said_in_one_line(tmp_path: Path, home: Path, capsys: Capture) -> None:
    (tmp_path / "file").write_text("")
    arguments = ["sample", "--users", "1", "--days", "1", "--out", str(tmp_path / "file" / "sample")]
    assert main(["--home", str(home), *arguments]) == 1
    assert str(tmp_path / "file") in error_line(capsys)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["dance"],
        ["churn"],
        ["churn", "--data"],
        ["promote", "feed", "--data", "."],
        ["sample", "--out", "x", "--users", "0"],
        ["sample", "--out", "x", "--seed", "-1"],
        ["sample", "--out", "x", "--start", "June"],
    ],
)
def test_what_is_no_command_ends_with_status_1(arguments: list[str], capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith("usage: python -m training")


def test_watching_goes_on_after_a_bundle_was_refused(
    register: Callable[[str], Version], home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    register("model")
    (stored,) = home.rglob(MODEL)
    whole = stored.read_bytes()
    looks = iter([b"", whole, whole])

    def sleep(seconds: float) -> None:
        assert seconds == 0.5
        try:
            stored.write_bytes(next(looks))
        except StopIteration:
            raise KeyboardInterrupt from None

    sleep(0.5)
    monkeypatch.setattr(time, "sleep", sleep)
    arguments = ["release", "--bundles", str(tmp_path / "bundles"), "--watch", "--every-s", "0.5"]
    assert main(["--home", str(home), *arguments]) == 130
    said = capsys.readouterr()
    assert said.err.startswith("error: model.onnx has 0 bytes")
    assert said.out == "released churn challenger: version 1\n"

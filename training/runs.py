"""One churn run, whole: data to model to bundle to report to registry."""

import csv
import io
import json
import math
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from threadpoolctl import threadpool_limits

from features.snapshots import log_span
from features.sources import Dataset
from models.bundle import Bundle
from training.card import write_card
from training.churn import ChurnTraining, Progress, train_churn
from training.config import ChurnConfig
from training.errors import GateError
from training.evaluation import Evaluation, evaluate
from training.export import export_churn, parity
from training.gates import Gate, gates_to_json
from training.instants import date_of, without_long_horizons
from training.plots import draw_all
from training.tracking import Registry, RunRecord, Version

TASK: Final = "churn"


@dataclass(frozen=True, slots=True, eq=False)
class ChurnRun:
    """A finished run: how it was configured, what was fitted, how good that is, and the gates and report of it."""

    config: ChurnConfig
    training: ChurnTraining
    evaluation: Evaluation
    gates: Sequence[Gate]
    report: Mapping[str, Any]
    bundle: Bundle


def run_churn(config: ChurnConfig, dataset: Dataset, bundles: Path, progress: Progress) -> ChurnRun:
    """Train, judge and export a churn model; its bundle is written below ``bundles`` and not yet registered.

    One thread does the linear algebra: on tables this narrow more threads are slower (measured: a third of the speed on
    two busy cores), and their number would change the last digits, and with them the bundle's digest.
    """
    config = without_long_horizons(config, *log_span(dataset))
    with threadpool_limits(1, user_api="blas"):
        training = train_churn(config, dataset, progress)
        progress("judging the model", 1, 1)
        evaluation = evaluate(training, config.seed)
    bundle = export_churn(training.model, bundles)
    gates = evaluation.gates(config.gates, parity(bundle, training.model, training.test_rows.features))
    digest = dataset.digest()
    report = _report(training, evaluation, gates, digest)
    return ChurnRun(config, training, evaluation, gates, report, bundle)


def register(run: ChurnRun, registry: Registry, bundles: Path) -> Version:
    """Log the run and register its bundle as the challenger; GateError, with the run logged, where a gate failed."""
    run_id = registry.log_run(record_of(run))
    if failed := [str(gate) for gate in run.gates if not gate.passed]:
        raise GateError("; ".join(failed))
    return registry.register(TASK, run_id, bundles / run.bundle.digest, run.report["gates"])


def write_report(report: Mapping[str, Any], file: Path) -> None:
    """The report as JSON."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(to_json(report), encoding="utf-8")


def unfinished(why: str) -> dict[str, Any]:
    """The report of a run that came to no model."""
    return {"task": TASK, "horizons": {}, "gates": {"passed": False}, "error": why}


def to_json(report: Mapping[str, Any]) -> str:
    """JSON text; what is not a number becomes null."""
    return json.dumps(_finite(report), indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def _report(training: ChurnTraining, evaluation: Evaluation, gates: list[Gate], digest: str) -> dict[str, Any]:
    return {
        "task": TASK,
        "data_digest": digest,
        "test_as_of": [date_of(instant) for instant in training.plan.test],
        **evaluation.to_json(),
        "gates": gates_to_json(gates),
    }


def record_of(run: ChurnRun) -> RunRecord:
    """What a run leaves in the registry: parameters, metrics, report, card, tables and plots."""
    report, evaluation, digest = run.report, run.evaluation, run.report["data_digest"]
    card = write_card(run.training, evaluation, run.config, run.gates, data_digest=digest)
    slices = [asdict(one) for one in evaluation.slices]
    return RunRecord(
        task=TASK,
        params={**_params(run.config), **_chosen(run.training), "data_digest": digest},
        tags={"gates": "passed" if report["gates"]["passed"] else "failed", "code_revision": code_revision()},
        metrics=dict(_metrics(evaluation)),
        files={
            "report.json": to_json(report).encode(),
            "model_card.md": card.encode(),
            "tables/slices.csv": _csv(slices),
            **{f"plots/{name}": image for name, image in draw_all(evaluation).items()},
        },
    )


def _params(config: ChurnConfig) -> dict[str, str]:
    return {name: json.dumps(value) for name, value in config.model_dump(mode="json").items()}


def _chosen(training: ChurnTraining) -> dict[str, str]:
    """What was chosen from the log: features, instants, and each horizon's settings."""
    plan, fits = training.plan, training.model.fits
    return {
        "features": json.dumps([feature.name for feature in training.model.features]),
        "instants.test": json.dumps([date_of(instant) for instant in plan.test]),
        "instants.train": f"{len(plan.train)} from {date_of(plan.train[0])} to {date_of(plan.train[-1])}",
        **{f"h{fit.horizon_days}.choice": json.dumps({**asdict(fit.choice), "drift": fit.drift}) for fit in fits},
    }


def _metrics(evaluation: Evaluation) -> Iterator[tuple[str, float]]:
    for horizon in evaluation.horizons:
        for predictor, quality in horizon.qualities.items():
            for name, value in quality.to_json().items():
                yield f"h{horizon.horizon_days}.{predictor}.{name}", value
    for baseline, difference in evaluation.differences.items():
        yield f"auc_difference.{baseline}", difference.mean
        yield f"auc_difference.{baseline}.low", difference.low
        yield f"auc_difference.{baseline}.high", difference.high
    for one in evaluation.slices:
        if math.isfinite(one.auc):
            yield f"slice.{one.slice}.{one.group}.auc", one.auc
        yield f"slice.{one.slice}.{one.group}.ece", one.ece


def _csv(rows: list[dict[str, Any]]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=rows[0].keys())
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def code_revision() -> str:
    """``MINGJIAN_REVISION``, else the git commit (with ``+`` where files differ from it), else ``unknown``."""
    if revision := os.environ.get("MINGJIAN_REVISION"):
        return revision
    command = [
        "git",
        "-C",
        str(Path(__file__).parent),
        "describe",
        "--always",
        "--dirty=+",
        "--abbrev=40",
        "--exclude=*",
    ]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

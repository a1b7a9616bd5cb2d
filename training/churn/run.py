"""One churn run, whole: data to model to bundle to report to registry."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from features.snapshots import log_span
from features.sources import Dataset
from models.bundle import Bundle
from models.churn.scorer import TASK
from training.churn.card import write_card
from training.churn.config import ChurnConfig
from training.churn.evaluation import Evaluation, evaluate
from training.churn.export import export_churn, parity
from training.churn.instants import date_of, without_long_horizons
from training.churn.plots import draw_all
from training.churn.recipe import ChurnTraining, train_churn
from training.gates import Gate, gates_to_json
from training.progress import Progress
from training.runs import code_revision, to_csv, to_json
from training.tracking import RunRecord


@dataclass(frozen=True, slots=True, eq=False)
class ChurnRun:
    """A finished run: how it was configured, what was fitted, how good that is, and the gates and report of it."""

    config: ChurnConfig
    training: ChurnTraining
    evaluation: Evaluation
    gates: Sequence[Gate]
    report: Mapping[str, Any]
    bundle: Bundle

    def record(self) -> RunRecord:
        """Parameters, metrics, report, card, tables and plots."""
        report, evaluation, digest = self.report, self.evaluation, self.report["data_digest"]
        card = write_card(self.training, evaluation, self.config, self.gates, data_digest=digest)
        return RunRecord(
            task=TASK,
            params={**_params(self.config), **_chosen(self.training), "data_digest": digest},
            tags={"gates": "passed" if report["gates"]["passed"] else "failed", "code_revision": code_revision()},
            metrics=dict(_metrics(evaluation)),
            files={
                "report.json": to_json(report).encode(),
                "model_card.md": card.encode(),
                "tables/slices.csv": to_csv([asdict(one) for one in evaluation.slices]),
                **{f"plots/{name}": image for name, image in draw_all(evaluation).items()},
            },
        )


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


def _report(training: ChurnTraining, evaluation: Evaluation, gates: list[Gate], digest: str) -> dict[str, Any]:
    return {
        "task": TASK,
        "data_digest": digest,
        "test_as_of": [date_of(instant) for instant in training.plan.test],
        **evaluation.to_json(),
        "gates": gates_to_json(gates),
    }


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

"""One run of the recommender, whole: data to model to bundle to report to registry."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from features.sources import Dataset
from models.bundle import Bundle
from models.recommend.settings import TASK
from training.gates import Gate, gates_to_json
from training.progress import Progress
from training.recommend.baselines import ALS_NOT_INSTALLED
from training.recommend.card import write_card
from training.recommend.config import Gates, RecommendConfig
from training.recommend.content import read_catalogue
from training.recommend.export import PARITY, export_recommender, parity
from training.recommend.ranking import Figures, by_chance, standard_error
from training.recommend.recipe import RecommendTraining, train_recommender
from training.recommend.sequences import read_sequences
from training.runs import code_revision, to_json
from training.tracking import RunRecord


@dataclass(frozen=True, slots=True, eq=False)
class RecommendRun:
    """A finished run: how it was configured, what was fitted, and the gates and report of it."""

    config: RecommendConfig
    training: RecommendTraining
    gates: Sequence[Gate]
    report: Mapping[str, Any]
    bundle: Bundle

    def record(self) -> RunRecord:
        """Parameters, metrics, report and card."""
        report = self.report
        settings = {name: json.dumps(value) for name, value in self.config.model_dump(mode="json").items()}
        figures = {name: report[name] for name in self.training.figures if report[name]}
        return RunRecord(
            task=TASK,
            params={**settings, "choice": json.dumps(report["choice"]), "data_digest": report["data_digest"]},
            tags={"gates": "passed" if report["gates"]["passed"] else "failed", "code_revision": code_revision()},
            metrics={
                f"{name}.{metric.replace('@', '_at_')}": value
                for name, one in figures.items()
                for metric, value in one.items()
                if np.isfinite(value)
            },
            files={"report.json": to_json(report).encode(), "model_card.md": write_card(report, self.gates).encode()},
        )


def run_recommend(
    config: RecommendConfig, dataset: Dataset, bundles: Path, progress: Progress, *, encoder: Bundle | None = None
) -> RecommendRun:
    """Train, judge and export a recommender; its bundle is written below ``bundles`` and not yet registered.

    ``encoder`` is a quality bundle: what notes say counts where there is one and the dataset has ``notes``.
    """
    sequences = read_sequences(dataset, config.events)
    catalogue = read_catalogue(dataset, sequences.note_ids.tolist(), encoder, progress)
    with threadpool_limits(1, user_api="blas"):
        training = train_recommender(config, sequences, progress, catalogue=catalogue)
    digest = encoder.digest if encoder and catalogue else None
    bundle = export_recommender(training.model, bundles, encoder=digest)
    gates = gates_of(training, config.gates, parity(bundle, training.model, training.plan.test.histories))
    report = {**_report(training, config, gates, dataset.digest()), "encoder": digest}
    return RecommendRun(config, training, gates, report, bundle)


def gates_of(training: RecommendTraining, gates: Gates, off: float) -> list[Gate]:
    """What is demanded of a model on the test."""
    model, popularity, item_knn = (_figures(training, name) for name in ("model", "popularity", "item_knn"))
    best = max((popularity, item_knn), key=lambda one: float(one.ndcg.mean()))
    difference = model.ndcg - best.ndcg
    ratio = model.coverage / item_knn.coverage if item_knn.coverage else float("nan")
    return [
        Gate("ndcg_difference", float(difference.mean()), minimum=gates.min_ndcg_difference - by_chance(difference)),
        Gate("coverage_ratio", ratio, minimum=gates.min_coverage_ratio),
        Gate("parity", off, maximum=PARITY),
    ]


def _report(training: RecommendTraining, config: RecommendConfig, gates: Sequence[Gate], digest: str) -> dict[str, Any]:
    choice, test = training.model.choice, training.plan.test
    report: dict[str, Any] = {
        "task": TASK,
        "protocol": config.protocol.value,
        "data_digest": digest,
        "seed": config.seed,
        "n_notes": test.n_notes,
        "n_users": len(test.asked),
        "n_known_targets": int((test.targets < 0).sum()),
        **{name: figures.to_json() if figures else None for name, figures in training.figures.items()},
        "differences": _differences(training.figures),
        "choice": {
            "ranker": choice.has_ranker,
            "sequence_model": choice.has_sequence_model,
            "boosted": float((training.model.pool.statistics.boost > 0).mean()),
            "best_source": choice.source,
            "neighbours": asdict(choice.neighbours),
            "n_neighbours_tried": choice.n_tried,
            "validation_ndcg@10": choice.ndcg,
        },
        "gates": gates_to_json(gates),
    }
    return report if report["als"] else {**report, "als_reason": ALS_NOT_INSTALLED}


def _differences(figures: Mapping[str, Figures | None]) -> dict[str, dict[str, float]]:
    """NDCG@10 of the model less each other's, paired by user, with a 95% interval (1.96 standard errors)."""
    model = figures["model"]
    found = {}
    for name, other in figures.items():
        if model is not None and other is not None and name != "model":
            difference = model.ndcg - other.ndcg
            mean, margin = float(difference.mean()), 1.96 * standard_error(difference)
            found[name] = {"ndcg@10": mean, "low": mean - margin, "high": mean + margin}
    return found


def _figures(training: RecommendTraining, name: str) -> Figures:
    figures = training.figures[name]
    if figures is None:
        raise LookupError(name)
    return figures

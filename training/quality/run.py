"""One quality run, whole: notes to model to bundle to report to registry."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from features.sources import Dataset
from models.bundle import Bundle, canonical_json
from models.quality.scorer import QualityScorer
from models.quality.settings import TASK, LabelKind
from training.gates import Gate, gates_to_json
from training.plots import draw_calibration, draw_precision_recall, draw_roc
from training.progress import Progress
from training.quality.card import write_card
from training.quality.cleanness import flag_rates
from training.quality.config import QualityConfig
from training.quality.corpus import CLEAN, HARMLESS, SPLITS, read_corpus
from training.quality.evaluation import LabelEvaluation, evaluate
from training.quality.recipe import QualityTraining, train_quality
from training.quality.robustness import Robustness, measure_robustness
from training.quality.shipping import PARITY, Shipped, ship
from training.runs import code_revision, to_csv, to_json
from training.tracking import RunRecord


@dataclass(frozen=True, slots=True)
class QualityData:
    """Datasets: to learn from; to be judged on, where that lies elsewhere; and of notes that nothing is wrong with."""

    train: Sequence[Dataset]
    test: Sequence[Dataset] = ()
    clean: Sequence[Dataset] = ()

    def digest(self) -> str:
        """SHA-256 over the digests of all datasets."""
        parts = {name: [one.digest() for one in getattr(self, name)] for name in self.__slots__}
        return hashlib.sha256(canonical_json(parts)).hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class QualityRun:
    """A finished run: how it was configured, what was fitted and shipped, how good that is, gates and report."""

    config: QualityConfig
    training: QualityTraining
    shipped: Shipped
    evaluations: Sequence[LabelEvaluation]
    robustness: Mapping[str, Robustness]
    gates: Sequence[Gate]
    report: Mapping[str, Any]

    @property
    def bundle(self) -> Bundle:
        """What would be released."""
        return self.shipped.bundle

    def record(self) -> RunRecord:
        """Parameters, metrics, report, card, confusion tables by note id, and plots."""
        report = self.report
        files = {
            "report.json": to_json(report).encode(),
            "model_card.md": write_card(self.config, self.training, self.evaluations, self.gates, report).encode(),
        }
        for one in self.evaluations:
            files[f"tables/confusion-{one.label.name}.csv"] = to_csv(list(_confusion(one)))
            for name, draw in (("roc", draw_roc), ("pr", draw_precision_recall), ("calibration", draw_calibration)):
                files[f"plots/{one.label.name}-{name}.png"] = draw(one.y, one.predictions)
        return RunRecord(
            task=TASK,
            params={**_params(self.config, self.training), "data_digest": report["data_digest"]},
            tags={"gates": "passed" if report["gates"]["passed"] else "failed", "code_revision": code_revision()},
            metrics=dict(_metrics(self.evaluations, self.robustness)),
            files=files,
        )


def run_quality(config: QualityConfig, data: QualityData, home: Path, bundles: Path, progress: Progress) -> QualityRun:
    """Train, ship and judge a quality model; its bundle is written below ``bundles`` and not yet registered.

    What an interrupted run of the same data and settings had learnt is taken up; it lies below ``home`` until the end.
    """
    progress("reading the data", 0, 1)
    digest = data.digest()
    harms = [name for name, one in config.labels.items() if one.kind == LabelKind.HARM]
    corpus = read_corpus(data.train, data.test, clean=data.clean, harms=harms)
    same = hashlib.sha256(canonical_json({"data": digest, "config": config.model_dump(mode="json")})).hexdigest()
    checkpoint = home / "checkpoints" / f"quality-{same[:16]}.pt"
    training = train_quality(config, corpus, checkpoint, progress)
    shipped = ship(training.model, corpus, bundles, max_f1_lost=config.gates.max_int8_f1_lost, progress=progress)
    scorer = QualityScorer(shipped.bundle)
    evaluations = evaluate(scorer, corpus, config.seed, progress)
    robustness = measure_robustness(scorer, corpus, config.seed, progress)
    gates = _gates(config, shipped, evaluations, robustness)
    report = {
        "task": TASK,
        "data_digest": digest,
        "notes": {split: int((corpus.splits == split).sum()) for split in (*SPLITS, HARMLESS, CLEAN)},
        "encoder": config.encoder,
        "bundle_mb": sum(map(len, shipped.bundle.files.values())) / 1e6,
        "in_8_bits": shipped.in_8_bits,
        "labels": {one.label.name: one.to_json() for one in evaluations},
        "left_out": dict(training.left_out),
        "chosen": {name: _chosen(training, name) for name in training.blends},
        "robustness": {name: {**asdict(one), "drop": one.drop} for name, one in robustness.items()},
        "flag_rates_on_clean_notes": flag_rates(scorer, corpus),
        "gates": gates_to_json(gates),
    }
    checkpoint.unlink(missing_ok=True)
    return QualityRun(config, training, shipped, evaluations, robustness, gates, report)


def _gates(
    config: QualityConfig,
    shipped: Shipped,
    evaluations: Sequence[LabelEvaluation],
    robustness: Mapping[str, Robustness],
) -> list[Gate]:
    bounds = config.gates
    return [
        Gate("parity", shipped.parity, maximum=PARITY),
        *(
            Gate(f"auc_difference.{one.label.name}", one.auc_difference.high, minimum=-bounds.max_auc_lost)
            for one in evaluations
        ),
        *(Gate(f"evaded.{name}", one.drop, maximum=bounds.max_flag_rate_drop) for name, one in robustness.items()),
    ]


def _chosen(training: QualityTraining, column: str) -> dict[str, Any]:
    """What was chosen for a column: its n-grams, and how its parts are blended."""
    return {**training.choices[column]._asdict(), **asdict(training.blends[column])}


def _params(config: QualityConfig, training: QualityTraining) -> dict[str, str]:
    settings = {name: json.dumps(value) for name, value in config.model_dump(mode="json").items()}
    return settings | {f"chosen.{name}": json.dumps(_chosen(training, name)) for name in training.blends}


def _metrics(
    evaluations: Sequence[LabelEvaluation], robustness: Mapping[str, Robustness]
) -> Iterator[tuple[str, float]]:
    for one in evaluations:
        for predictor, figures in one.figures.items():
            for name, value in figures.to_json().items():
                yield f"{one.label.name}.{predictor}.{name}", value
        yield f"{one.label.name}.auc_difference", one.auc_difference.mean
    for label, robust in robustness.items():
        yield f"{label}.evaded", robust.drop


def _confusion(one: LabelEvaluation) -> Iterator[dict[str, Any]]:
    """What the flag and the reviewers said of each note, by its id alone."""
    for note_id, y, p in zip(one.ids, one.y, one.predictions["model"], strict=True):
        flagged = bool(p >= one.label.threshold)
        yield {
            "note_id": note_id.partition(":")[2],
            "has_label": int(y),
            "flagged": int(flagged),
            "probability": round(float(p), 4),
        }

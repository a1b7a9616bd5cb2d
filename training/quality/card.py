"""The model card: what a quality model is, how good, for what, where it ends; in Markdown (Mitchell et al. 2019)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from training.gates import Gate
from training.markdown import table
from training.quality.config import QualityConfig
from training.quality.evaluation import LabelEvaluation
from training.quality.recipe import QualityTraining

_LIMITS: Final = (
    "## Limits",
    "",
    "- Judges words, not pictures, and not whether what they say is true.",
    "- Learnt from the sites that its notes are of. On another site, without labels of its own, abuse was found 15 "
    "points of F1 less well: label a few hundred notes there and train again.",
    "- A label's share moves with time; then probabilities are off before ranks are. Set thresholds by recent labels.",
    "- Names of regions, peoples and genders stand in abuse more often than elsewhere: see the false positive rates by "
    "category, and let people decide about what is flagged.",
)


def write_card(
    config: QualityConfig,
    training: QualityTraining,
    evaluations: Sequence[LabelEvaluation],
    gates: Sequence[Gate],
    report: Mapping[str, Any],
) -> str:
    """The card of a judged model."""
    sections = (
        _head(config, report),
        _figures(evaluations),
        _flags(evaluations),
        list(_categories(evaluations)),
        _parts(training),
        _robustness(report),
        ["## Gates", "", *(f"- {'passed' if gate.passed else 'FAILED'}: {gate}" for gate in gates)],
        _LIMITS,
    )
    return "\n\n".join("\n".join(section) for section in sections if section) + "\n"


def _head(config: QualityConfig, report: Mapping[str, Any]) -> list[str]:
    notes = report["notes"]
    return [
        "# Note quality model card",
        "",
        "Says of a note, by its words: the probability of each label, a quality score from 0 to 100, and a vector.",
        "",
        f"- Data: SHA-256 `{report['data_digest']}`; seed {config.seed}",
        f"- {notes['train']:,} notes to learn from, {notes['dev']:,} to tune on, {notes['test']:,} to be judged on; no "
        "text is in two of these",
        f"- Encoder `{config.encoder}`, {'8' if report['in_8_bits'] else '32'} bits, {report['bundle_mb']:.1f} MB",
        *(f"- Left out: {name} ({why})" for name, why in report["left_out"].items()),
    ]


def _figures(evaluations: Sequence[LabelEvaluation]) -> list[str]:
    rows = [
        (
            one.label.name, one.label.kind, name, f"{len(one.y)} ({one.split})", f"{one.y.mean():.3f}",
            f"{f.macro_f1:.4f} ± {f.macro_f1_se:.4f}", f"{f.auc:.4f} ± {f.auc_se:.4f}", f"{f.pr_auc:.4f}",
            f"{f.ece:.3f}",
        )
        for one in evaluations
        for name, f in one.figures.items()
    ]  # fmt: skip
    head = ("label", "kind", "predictor", "notes", "share", "macro-F1", "AUC", "PR AUC", "ECE")
    about = "Macro-F1 at one half; ± is a standard error over resampled notes. Notes of `dev` were tuned on."
    return ["## Figures on held-out notes", "", about, "", *table(head, rows)]


def _flags(evaluations: Sequence[LabelEvaluation]) -> list[str]:
    rows = [
        (one.label.name, f"{f.threshold:.3f}", f"{one.label.precision:.2f}", f"{f.precision:.3f}", f"{f.recall:.3f}")
        for one in evaluations
        for f in [one.flags]
    ]
    return ["## Flags", "", *table(("label", "threshold", "precision asked", "precision", "recall"), rows)]


def _categories(evaluations: Sequence[LabelEvaluation]) -> Iterator[str]:
    rows = [
        (one.label.name, category, f"{rate:.3f}")
        for one in evaluations
        for category, rate in one.false_positive_rates.items()
    ]
    if rows:
        yield from ("## False positives by category", "", "Share of the notes without the label that are flagged.", "")
        yield from table(("label", "category", "flagged"), rows)


def _parts(training: QualityTraining) -> list[str]:
    rows = [
        (
            name,
            f"1 to {choice.longest}",
            "yes" if choice.by_contrast else "no",
            f"{choice.inverse_penalty:g}",
            f"{training.blends[name].deep_weight:.2f}",
        )
        for name, choice in training.choices.items()
    ]
    head = ("column", "n-grams", "by contrast", "inverse penalty", "weight of the encoder")
    return ["## Parts", "", *table(head, rows)]


def _robustness(report: Mapping[str, Any]) -> list[str]:
    rows = [
        (name, way, f"{one['flagged']:.3f}", f"{flagged:.3f}")
        for name, one in report["robustness"].items()
        for way, flagged in one["flagged_by_way"].items()
    ]
    if not rows:
        return []
    about = "Share of notes with the harm that is flagged, as they are and rewritten as evaders write."
    return ["## Robustness", "", about, "", *table(("label", "way", "as it is", "rewritten"), rows)]

"""The model card: what a churn model is, how good, for whom, and where it ends; in Markdown (Mitchell et al. 2019)."""

from collections.abc import Sequence
from typing import Final

from training.churn.config import ChurnConfig
from training.churn.evaluation import Evaluation
from training.churn.instants import date_of
from training.churn.recipe import ChurnTraining
from training.gates import Gate
from training.markdown import table


def write_card(
    training: ChurnTraining, evaluation: Evaluation, config: ChurnConfig, gates: Sequence[Gate], *, data_digest: str
) -> str:
    """The card of a judged model."""
    sections = (
        _head(training, config, data_digest),
        _figures(evaluation),
        _differences(evaluation),
        ["## Gates", "", *(f"- {'passed' if gate.passed else 'FAILED'}: {gate}" for gate in gates)],
        _slices(evaluation),
        _ablation(evaluation),
        _LIMITS,
    )
    return "\n\n".join("\n".join(section) for section in sections) + "\n"


_LIMITS: Final = (
    "## Limits",
    "",
    "- Says who is likely to leave, not why, and not whom an action would keep: that takes a hold-out.",
    "- Learnt from one community's log. On another one, train again; do not carry the bundle over.",
    "- Rates move with seasons and campaigns; a shift after the last training window shows first in the calibration.",
    "- Users without any activity, or none lately, get no probability: their answer says so instead.",
)


def _head(training: ChurnTraining, config: ChurnConfig, data_digest: str) -> list[str]:
    plan = training.plan
    horizons = _or([fit.horizon_days for fit in training.model.fits])
    return [
        "# Churn model card",
        "",
        f"P(no activity in the next {horizons} days) for users active in the {config.present_days} days before.",
        "Calibrated; a longer horizon never has the higher probability.",
        "",
        f"- Data: SHA-256 `{data_digest}`; seed {config.seed}",
        f"- Trained at {len(plan.train)} instants from {date_of(plan.train[0])} to {date_of(plan.train[-1])}; every "
        "label window closed by the test instant",
        f"- Tested on what happened after {date_of(plan.main)}; compared with baselines at {len(plan.test)} instants",
    ]


def _differences(evaluation: Evaluation) -> list[str]:
    rows = [(name, f"{d.mean:+.4f}", f"{d.low:+.4f} to {d.high:+.4f}") for name, d in evaluation.differences.items()]
    about = "Paired AUC difference at the longest horizon, averaged over the test instants, 95% interval over users:"
    return [about, "", *table(("against", "difference", "interval"), rows)]


def _slices(evaluation: Evaluation) -> list[str]:
    rows = [
        (one.slice, one.group, str(one.n), f"{one.base_rate:.3f}", f"{one.auc:.3f}", f"{one.ece:.3f}")
        for one in evaluation.slices
    ]
    head = ("slice", "group", "users", "base rate", "AUC", "ECE")
    return ["## By slice, longest horizon", "", *table(head, rows)]


def _ablation(evaluation: Evaluation) -> list[str]:
    ordered = sorted(evaluation.ablation.items(), key=lambda pair: -pair[1])
    rows = [(name, f"{lost:+.4f}", f"{evaluation.importance[name]:.3f}") for name, lost in ordered]
    about = "AUC lost on tuning rows when the fit does without the feature (noise about .002); its share of the gain."
    return ["## What each feature earns", "", about, "", *table(("feature", "AUC lost", "share of gain"), rows)]


def _figures(evaluation: Evaluation) -> list[str]:
    rows = [
        (
            str(horizon.horizon_days), name, str(len(horizon.y)), f"{horizon.y.mean():.3f}",
            f"{q.auc:.3f} ({q.auc_low:.3f} to {q.auc_high:.3f})", f"{q.pr_auc:.3f}", f"{q.brier:.3f}", f"{q.ece:.3f}",
            f"{q.lift_at_10:.2f}",
        )
        for horizon in evaluation.horizons
        for name, q in horizon.qualities.items()
    ]  # fmt: skip
    head = ("days", "predictor", "users", "base rate", "AUC (95%)", "PR AUC", "Brier", "ECE", "lift at 10%")
    return ["## Figures on held-out users", "", *table(head, rows)]


def _or(numbers: Sequence[int]) -> str:
    *first, last = map(str, numbers)
    return f"{', '.join(first)} or {last}" if first else last

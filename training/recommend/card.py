"""The model card: what a recommender is, how good, for whom, and where it ends; in Markdown (Mitchell et al. 2019)."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from training.gates import Gate

_PREDICTORS: Final = {"model": "the model", "item_knn": "tuned item-KNN", "popularity": "popularity", "als": "ALS"}
_METRICS: Final = ("hr@10", "ndcg@10", "coverage", "gini")


def write_card(report: Mapping[str, Any], gates: Sequence[Gate]) -> str:
    """The card of a judged model, from its report."""
    sections = (
        _head(report),
        _figures(report),
        ["## Gates", "", *(f"- {'passed' if gate.passed else 'FAILED'}: {gate}" for gate in gates)],
        _choice(report["choice"]),
        _LIMITS,
    )
    return "\n\n".join("\n".join(section) for section in sections) + "\n"


_LIMITS: Final = (
    "## Limits",
    "",
    "- Says what users like these took up next, among what they were shown then; not what they would take up if shown.",
    "- A note without events is never a candidate; a user without known notes gets what is popular.",
    "- Scores order one user's notes. They are no probabilities, and don't compare between users.",
    "- Learnt from one community's log. On another one, train again; do not carry the bundle over.",
)


def _head(report: Mapping[str, Any]) -> list[str]:
    return [
        "# Recommender model card",
        "",
        "Orders the notes that a user may take up next, given those the user took up before.",
        "",
        f"- Data: SHA-256 `{report['data_digest']}`; seed {report['seed']}",
        f"- {report['n_notes']:,} notes; judged ({report['protocol']}) on {report['n_users']:,} users, of whom "
        f"{report['n_known_targets']:,} went back to a note they knew, which counts as a miss",
    ]


def _figures(report: Mapping[str, Any]) -> list[str]:
    rows = [
        f"| {name} | {' | '.join(f'{report[key][metric]:.4f}' for metric in _METRICS)} |"
        for key, name in _PREDICTORS.items()
        if report[key]
    ]
    se = report["model"]
    about = f"Standard errors of the model's: HR {se['hr@10_se']:.4f}, NDCG {se['ndcg@10_se']:.4f}."
    head = ["| predictor | HR@10 | NDCG@10 | coverage | Gini |", "| --- | --- | --- | --- | --- |"]
    return ["## Figures, every note ranked", "", *head, *rows, "", about]


def _choice(choice: Mapping[str, Any]) -> list[str]:
    gains = [f"- {name}: {value:.4f}" for name, value in choice["validation_ndcg@10"].items()]
    order = "a ranker" if choice["ranker"] else f"the source `{choice['best_source']}` alone: no ranker did better"
    return ["## Chosen on validation", "", f"Ordered by {order}. NDCG@10 there:", "", *gains]

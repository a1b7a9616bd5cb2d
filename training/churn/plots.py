"""The plots of a churn run."""

from training.churn.evaluation import Evaluation
from training.plots import draw_bars, draw_calibration, draw_lift, draw_precision_recall, draw_roc


def draw_all(evaluation: Evaluation) -> dict[str, bytes]:
    """Every plot of the main horizon by file name."""
    y, predictors = evaluation.main.y, evaluation.main.predictions
    return {
        "roc.png": draw_roc(y, predictors),
        "pr.png": draw_precision_recall(y, predictors),
        "calibration.png": draw_calibration(y, predictors),
        "lift.png": draw_lift(y, predictors),
        "importance.png": draw_bars("Importance", "share of the trees' gain", evaluation.importance),
        "slices.png": draw_bars("By slice", "AUC", {f"{one.slice}: {one.group}": one.auc for one in evaluation.slices}),
    }

"""Plots of predictors on held-out rows as PNG bytes; ``y`` is 0 or 1 a row, ``predictors`` are probabilities."""

import io
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve, roc_curve

Floats = npt.NDArray[np.float64]


def draw_roc(y: Floats, predictors: Mapping[str, Floats]) -> bytes:
    """True against false positive rate."""
    figure, axes = _figure("ROC", "false positive rate", "true positive rate")
    for name, p in predictors.items():
        false_positive, true_positive, _ = roc_curve(y, p)
        axes.plot(false_positive, true_positive, label=name)
    return _png(figure, diagonal=True)


def draw_precision_recall(y: Floats, predictors: Mapping[str, Floats]) -> bytes:
    """Precision against recall, with the base rate as a dotted line."""
    figure, axes = _figure("Precision and recall", "recall", "precision")
    for name, p in predictors.items():
        precision, recall, _ = precision_recall_curve(y, p)
        axes.plot(recall, precision, label=name)
    axes.axhline(float(y.mean()), color="grey", linestyle=":", label="base rate")
    return _png(figure)


def draw_calibration(y: Floats, predictors: Mapping[str, Floats]) -> bytes:
    """Share that came true against predicted probability, in ten bins of equal size."""
    figure, axes = _figure("Calibration", "predicted probability", "share that came true")
    for name, p in predictors.items():
        actual, predicted = calibration_curve(y, p, n_bins=10, strategy="quantile")
        axes.plot(predicted, actual, marker="o", label=name)
    return _png(figure, diagonal=True)


def draw_lift(y: Floats, predictors: Mapping[str, Floats]) -> bytes:
    """What is foretold among the riskiest share of rows, as a multiple of the base rate."""
    figure, axes = _figure("Lift", "riskiest share", "times the base rate")
    share = np.arange(1, len(y) + 1) / len(y)
    for name, p in predictors.items():
        found = np.cumsum(y[np.argsort(-p, kind="stable")])
        axes.plot(share, found / np.arange(1, len(y) + 1) / y.mean(), label=name)
    axes.set_xlim(0.01, 1)
    axes.axhline(1, color="grey", linestyle=":")
    return _png(figure)


def draw_bars(title: str, unit: str, values: Mapping[str, float]) -> bytes:
    """A bar for each name, in the order given, from the top."""
    figure, axes = _figure(title, unit, "")
    axes.barh(list(values), list(values.values()))
    axes.invert_yaxis()
    return _png(figure, legend=False)


def _figure(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.grid(alpha=0.3)
    return figure, axes


def _png(figure: Figure, *, diagonal: bool = False, legend: bool = True) -> bytes:
    axes = figure.axes[0]
    if diagonal:
        axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
    if legend:
        axes.legend(frameon=False)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=110, metadata={"Software": None})
    return out.getvalue()

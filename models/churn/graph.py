"""Writes a fitted churn model as one ONNX graph.

Per horizon, the raw scores of trees and of a linear model are blended in logit space, calibrated (Platt 1999) and
squashed; then each horizon's churn probability is held at or below the shorter horizons', since who comes back within
a week has come back within a month. All arithmetic is float64; features come and probabilities leave as float32.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx
from onnx import TensorProto

from models.churn.linear import CLIP, Linear
from models.churn.scorer import INPUT, OUTPUT
from models.contract import Tensor
from models.onnx_graph import GraphBuilder
from models.trees import tree_ensemble


@dataclass(frozen=True, slots=True, eq=False)
class HorizonModel:
    """One horizon's parts; ``trees`` is a booster's ``dump_model()``.

    probability = sigmoid(slope * (w * trees + (1 - w) * linear) + intercept), w = ``tree_weight``.
    """

    trees: Mapping[str, Any]
    linear: Linear
    tree_weight: float
    slope: float
    intercept: float


def churn_graph(horizons: Sequence[HorizonModel]) -> onnx.ModelProto:
    """The graph: ``features`` float32 (n, n_features) to ``churn_probability`` float32 (n, n_horizons).

    ``horizons`` come in ascending order and read the same features. ExportError for trees that can't be written.
    """
    graph = GraphBuilder()
    x = graph.add("Cast", INPUT, to=TensorProto.DOUBLE)
    logarithm = graph.add("Log", graph.add("Add", graph.add("Abs", x), graph.constant(1.0)))
    inputs = _Inputs(missing=graph.add("IsNaN", x), signed_log=graph.add("Mul", graph.add("Sign", x), logarithm))
    columns: list[str] = []
    for place, horizon in enumerate(horizons):
        own = _probability(graph, horizon, inputs, trees=f"trees_{place}")
        columns.append(graph.add("Min", columns[-1], own) if columns else own)
    graph.add("Cast", graph.add("Concat", *columns, axis=1), to=TensorProto.FLOAT, output=OUTPUT)
    features = Tensor(INPUT, "float32", (None, len(horizons[0].linear.fill)))
    probability = Tensor(OUTPUT, "float32", (None, len(horizons)))
    return graph.model("churn", [features], [probability])


@dataclass(frozen=True, slots=True)
class _Inputs:
    """Names of what every horizon reads: whether a feature is missing, and its signed logarithm."""

    missing: str
    signed_log: str


def _probability(graph: GraphBuilder, horizon: HorizonModel, inputs: _Inputs, *, trees: str) -> str:
    """One horizon's probability before it is held below the shorter ones', shape (n, 1)."""
    graph.nodes += tree_ensemble(horizon.trees, features=INPUT, output=trees)
    weight = horizon.tree_weight
    raw = graph.add("Mul", graph.add("Cast", trees, to=TensorProto.DOUBLE), graph.constant(weight))
    linear = graph.add("Mul", _logit(graph, horizon.linear, inputs), graph.constant(1 - weight))
    blend = graph.add("Mul", graph.add("Add", raw, linear), graph.constant(horizon.slope))
    return graph.add("Sigmoid", graph.add("Add", blend, graph.constant(horizon.intercept)))


def _logit(graph: GraphBuilder, linear: Linear, inputs: _Inputs) -> str:
    filled = graph.add("Where", inputs.missing, graph.constant(linear.fill), inputs.signed_log)
    standard = graph.add("Div", graph.add("Sub", filled, graph.constant(linear.centre)), graph.constant(linear.scale))
    clipped = graph.add("Clip", standard, graph.constant(-CLIP), graph.constant(CLIP))
    product = graph.add("MatMul", clipped, graph.constant(linear.coefficients[:, None]))
    return graph.add("Add", product, graph.constant(linear.intercept))

"""Writes a fitted churn model as one ONNX graph.

Per horizon, the raw scores of trees and of a linear model are blended in logit space, calibrated (Platt 1999) and
squashed; then each horizon's churn probability is held at or below the shorter horizons', since who comes back within
a week has come back within a month. All arithmetic is float64; features come and probabilities leave as float32.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from models.churn.linear import CLIP, Floats, Linear
from models.churn.scorer import INPUT, OUTPUT
from models.trees import tree_ensemble

_OPSET: Final = 21
_ML_OPSET: Final = 5


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
    graph = _Graph()
    x = graph.add("Cast", INPUT, to=TensorProto.DOUBLE)
    logarithm = graph.add("Log", graph.add("Add", graph.add("Abs", x), graph.constant(1.0)))
    inputs = _Inputs(missing=graph.add("IsNaN", x), signed_log=graph.add("Mul", graph.add("Sign", x), logarithm))
    columns: list[str] = []
    for place, horizon in enumerate(horizons):
        probability = _probability(graph, horizon, inputs, trees=f"trees_{place}")
        columns.append(graph.add("Min", columns[-1], probability) if columns else probability)
    graph.add("Cast", graph.add("Concat", *columns, axis=1), to=TensorProto.FLOAT, output=OUTPUT)
    return graph.model(n_features=len(horizons[0].linear.fill), n_horizons=len(horizons))


@dataclass(frozen=True, slots=True)
class _Inputs:
    """Names of what every horizon reads: whether a feature is missing, and its signed logarithm."""

    missing: str
    signed_log: str


def _probability(graph: "_Graph", horizon: HorizonModel, inputs: _Inputs, *, trees: str) -> str:
    """One horizon's probability before it is held below the shorter ones', shape (n, 1)."""
    graph.nodes += tree_ensemble(horizon.trees, features=INPUT, output=trees)
    weight = horizon.tree_weight
    raw = graph.add("Mul", graph.add("Cast", trees, to=TensorProto.DOUBLE), graph.constant(weight))
    linear = graph.add("Mul", _logit(graph, horizon.linear, inputs), graph.constant(1 - weight))
    blend = graph.add("Mul", graph.add("Add", raw, linear), graph.constant(horizon.slope))
    return graph.add("Sigmoid", graph.add("Add", blend, graph.constant(horizon.intercept)))


def _logit(graph: "_Graph", linear: Linear, inputs: _Inputs) -> str:
    filled = graph.add("Where", inputs.missing, graph.constant(linear.fill), inputs.signed_log)
    standard = graph.add("Div", graph.add("Sub", filled, graph.constant(linear.centre)), graph.constant(linear.scale))
    clipped = graph.add("Clip", standard, graph.constant(-CLIP), graph.constant(CLIP))
    product = graph.add("MatMul", clipped, graph.constant(linear.coefficients[:, None]))
    return graph.add("Add", product, graph.constant(linear.intercept))


class _Graph:
    """A graph in the making: nodes and constants, with names given in the order of their making."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self._constants: list[TensorProto] = []

    def add(self, op: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        name = output or f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    def constant(self, value: float | Floats) -> str:
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(value, np.float64), name))
        return name

    def model(self, *, n_features: int, n_horizons: int) -> onnx.ModelProto:
        inputs = [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, n_features])]
        outputs = [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, n_horizons])]
        graph = helper.make_graph(self.nodes, "churn", inputs, outputs, self._constants)
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid("ai.onnx.ml", _ML_OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="mingjian")
        onnx.checker.check_model(model, full_check=True)
        return model

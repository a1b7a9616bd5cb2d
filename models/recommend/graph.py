"""Writes what orders a user's candidates as one ONNX graph."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from models.recommend.settings import INPUT, OUTPUT
from models.trees import tree_ensemble

_OPSET: Final = 21
_ML_OPSET: Final = 5
_TREES: Final = "trees"


def ranker_graph(dump: Mapping[str, Any], features: Sequence[str], *, rarity_bonus: float) -> onnx.ModelProto:
    """Trees, less ``rarity_bonus`` times the feature ``popularity``; ``dump`` is a booster's ``dump_model()``."""
    nodes = [
        *tree_ensemble(dump, features=INPUT, output=_TREES),
        _column(output="popularity"),
        helper.make_node("Neg", ["popularity"], ["rarity"]),
        helper.make_node("Mul", ["rarity", "bonus"], ["put_forward"]),
        helper.make_node("Add", [_TREES, "put_forward"], [OUTPUT]),
    ]
    column = np.array([features.index("popularity")])
    return _model(nodes, features, {"bonus": np.float32(rarity_bonus), "column": column})


def source_graph(source: str, features: Sequence[str]) -> onnx.ModelProto:
    """The order of one source alone."""
    name = f"{source}.score"
    return _model([_column(output=OUTPUT)], features, {"column": np.array([features.index(name)])})


def _column(*, output: str) -> NodeProto:
    return helper.make_node("Gather", [INPUT, "column"], [output], axis=1)


def _model(nodes: Sequence[NodeProto], features: Sequence[str], constants: Mapping[str, Any]) -> onnx.ModelProto:
    inputs = [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, len(features)])]
    outputs = [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, 1])]
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "recommend", inputs, outputs, initializers)
    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid("ai.onnx.ml", _ML_OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="mingjian")
    onnx.checker.check_model(model, full_check=True)
    return model

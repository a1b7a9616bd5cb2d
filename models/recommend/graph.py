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
_WORTH: Final = "worth"


def ranker_graph(dump: Mapping[str, Any], features: Sequence[str]) -> onnx.ModelProto:
    """Trees, and the feature ``boost`` added; ``dump`` is a booster's ``dump_model()``."""
    return _model(tree_ensemble(dump, features=INPUT, output=_WORTH), features, {})


def source_graph(source: str, features: Sequence[str]) -> onnx.ModelProto:
    """One source's share of its best, and the feature ``boost`` added."""
    column = np.array([features.index(f"{source}.share_of_best")])
    return _model([helper.make_node("Gather", [INPUT, "source"], [_WORTH], axis=1)], features, {"source": column})


def _model(worth: Sequence[NodeProto], features: Sequence[str], constants: Mapping[str, Any]) -> onnx.ModelProto:
    constants = {**constants, "column": np.array([features.index("boost")])}
    nodes = [
        *worth,
        helper.make_node("Gather", [INPUT, "column"], ["boost"], axis=1),
        helper.make_node("Add", [_WORTH, "boost"], [OUTPUT]),
    ]
    inputs = [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, len(features)])]
    outputs = [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, 1])]
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "recommend", inputs, outputs, initializers)
    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid("ai.onnx.ml", _ML_OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="mingjian")
    onnx.checker.check_model(model, full_check=True)
    return model

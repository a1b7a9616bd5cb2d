"""An ONNX graph in the making."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper
from onnx.helper import np_dtype_to_tensor_dtype

from models.contract import Tensor

OPSET: Final = 21
ML_OPSET: Final = 5
IR_VERSION: Final = 10


class GraphBuilder:
    """Nodes and constants, with names given in the order of their making: equal calls make equal bytes."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def add(self, op: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """The name of what a new node gives."""
        name = output or f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    def top(self, values_of: str, k: str, *, values: str, places: str) -> None:
        """A node that gives the ``k`` largest of each row, descending, and where they stand."""
        self.nodes.append(helper.make_node("TopK", [values_of, k], [values, places], axis=1))

    def last_of_gru(self, read: str, w: str, r: str, b: str, lengths: str, *, hidden_size: int) -> str:
        """The name of the hidden states (1, n, hidden_size) after the last of each sequence, as PyTorch has them."""
        name = f"gru_{len(self.nodes)}"
        inputs, outputs = [read, w, r, b, lengths], ["", name]
        self.nodes.append(helper.make_node("GRU", inputs, outputs, hidden_size=hidden_size, linear_before_reset=1))
        return name

    def constant(self, value: Any, dtype: type[np.generic] = np.float64) -> str:
        """The name of a constant."""
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(np.asarray(value, dtype)), name))
        return name

    def model(self, name: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> onnx.ModelProto:
        """The checked model of these nodes and constants."""
        graph = helper.make_graph(self.nodes, name, _infos(inputs), _infos(outputs), self.constants)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="mingjian")
        onnx.checker.check_model(model, full_check=True)
        return model


def _infos(tensors: Sequence[Tensor]) -> list[onnx.ValueInfoProto]:
    return [
        helper.make_tensor_value_info(one.name, np_dtype_to_tensor_dtype(np.dtype(one.dtype)), list(one.shape))
        for one in tensors
    ]

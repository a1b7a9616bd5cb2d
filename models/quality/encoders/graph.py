"""Writes an encoder as an ONNX graph, and makes a graph smaller and faster with 8-bit integers."""

import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import onnx
import torch
from onnx import ModelProto
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from models.quality.encoders.encoder import Encoder

INPUT_IDS: Final = "input_ids"
ATTENTION_MASK: Final = "attention_mask"
POOLED: Final = "pooled"

_OPSET: Final = 18
_EXPECTED_WARNINGS: Final = (
    # We trace with TorchScript on purpose: torch.export takes five times as long, and its graph is no faster.
    "You are using the legacy TorchScript-based ONNX export",
    "The feature will be removed",
    # Of the amounts that torch.nn.functional.pad pads by; onnxruntime folds them when it loads the graph.
    "Constant folding - Only steps=1 can be constant folded",
    # Of transformers' attention masks: what is traced holds for every mask, since the example's has padding.
    "Converting a tensor to a Python boolean might cause the trace to be incorrect",
    # Ids are never negative.
    "Exporting aten::index operator of advanced indexing",
)

_MIN_COLUMNS: Final = 32
"""A table of fewer columns stays in float: it is no embedding but scales or a linear model, whose bits count."""


def encoder_graph(encoder: Encoder) -> ModelProto:
    """The graph of an encoder in evaluation mode: ``pooled`` of ``input_ids`` and ``attention_mask``, see ``Encoder``.

    Any number of texts and tokens fits. Equal weights give equal bytes.
    """
    was_training = encoder.training
    ids = torch.ones(2, 5, dtype=torch.int64)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    sizes = {0: "n", 1: "n_tokens"}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        path = Path(folder) / "model.onnx"
        for message in _EXPECTED_WARNINGS:
            warnings.filterwarnings("ignore", message)
        torch.onnx.export(
            encoder.eval(),
            (ids, mask),
            path,
            input_names=[INPUT_IDS, ATTENTION_MASK],
            output_names=[POOLED],
            dynamic_axes={INPUT_IDS: sizes, ATTENTION_MASK: sizes, POOLED: {0: "n"}},
            opset_version=_OPSET,
            dynamo=False,
        )
        model = onnx.load(path)
    encoder.train(was_training)
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = encoder.dim  # the trace does not know it
    return model


def quantise(model: ModelProto) -> ModelProto:
    """The graph with the weights of its matrix products and its embeddings in 8 bits, signed, one scale a column.

    Activations get their scale when the graph runs: one for all rows, so a row's results depend a little on the rows
    beside it; run one row at a time where they must not. Weights use seven of their bits: without VNNI instructions,
    sums of products would overflow with eight, and results differ between machines. Equal graphs give equal bytes.
    """
    prepared = ModelProto()
    prepared.CopyFrom(model)
    add_pre_process_metadata(prepared)  # else the quantiser logs that it should be
    with tempfile.TemporaryDirectory() as folder, _root_logger_kept():
        path = Path(folder) / "model.onnx"
        quantize_dynamic(
            prepared,
            path,
            op_types_to_quantize=["MatMul", "Gather"],
            nodes_to_exclude=_narrow_gathers(model),
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
        )
        quantised = onnx.load(path)
    del quantised.metadata_props[:]
    return quantised


def _narrow_gathers(model: ModelProto) -> list[str]:
    narrow = {table.name for table in model.graph.initializer if not table.dims or table.dims[-1] < _MIN_COLUMNS}
    return [node.name for node in model.graph.node if node.op_type == "Gather" and node.input[0] in narrow]


@contextmanager
def _root_logger_kept() -> Iterator[None]:
    """The quantiser logs by ``logging.info``, which would give the root logger a handler for good where it has none."""
    handler = logging.NullHandler()
    logging.root.addHandler(handler)
    try:
        yield
    finally:
        logging.root.removeHandler(handler)

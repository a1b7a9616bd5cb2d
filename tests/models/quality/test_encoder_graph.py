"""Encoders as ONNX graphs: in float they repeat the module, in 8 bits nearly."""

import logging
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import ModelProto, numpy_helper
from torch import Tensor

from models.quality.encoders.encoder import Encoder
from models.quality.encoders.graph import ATTENTION_MASK, INPUT_IDS, POOLED, encoder_graph, quantise
from models.quality.encoders.loading import load_encoder
from models.quality.encoders.use_v3 import UseV3

TEXTS = ("今天天气很好，我们去公园散步。", "好", "这家店的咖啡很好喝，环境也不错！", "加微信领取优惠")


@pytest.fixture(scope="session")
def bert(checkpoint: Path) -> Encoder:
    """The tiny checkpoint's encoder, in evaluation mode."""
    encoder = load_encoder(f"hf:{checkpoint}")
    assert encoder is not None
    return encoder.eval()


@pytest.fixture(scope="session")
def use_v3_graph(use_v3: UseV3) -> ModelProto:
    """The built-in encoder's graph."""
    return encoder_graph(use_v3)


@pytest.fixture(scope="session")
def use_v3_small(use_v3_graph: ModelProto) -> ModelProto:
    """That in 8 bits."""
    return quantise(use_v3_graph)


@pytest.fixture(scope="session")
def bert_graph(bert: Encoder) -> ModelProto:
    """The tiny checkpoint's."""
    return encoder_graph(bert)


@pytest.fixture(scope="session")
def bert_small(bert_graph: ModelProto) -> ModelProto:
    """That in 8 bits."""
    return quantise(bert_graph)


def run(graph: ModelProto, ids: Tensor, mask: Tensor) -> Tensor:
    session = ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    (pooled,) = session.run([POOLED], {INPUT_IDS: ids.numpy(), ATTENTION_MASK: mask.numpy()})
    return torch.from_numpy(pooled)


@pytest.mark.parametrize("name", ["use_v3", "bert"])
@pytest.mark.parametrize("n_texts", [1, 4])
def test_a_graph_gives_what_its_encoder_gives(
    name: str, n_texts: int, batch: Callable[..., tuple[Tensor, Tensor]], request: pytest.FixtureRequest
) -> None:
    encoder, graph = (request.getfixturevalue(fixture) for fixture in (name, f"{name}_graph"))
    inputs = batch(encoder.tokenizer(), TEXTS[:n_texts])
    with torch.no_grad():
        torch.testing.assert_close(run(graph, *inputs), encoder(*inputs), atol=1e-5, rtol=1e-5)


def test_a_graph_says_what_it_takes_and_gives(use_v3_graph: ModelProto) -> None:
    onnx.checker.check_model(use_v3_graph, full_check=True)
    sizes = {
        value.name: [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*use_v3_graph.graph.input, *use_v3_graph.graph.output)
    }
    assert sizes == {INPUT_IDS: ["n", "n_tokens"], ATTENTION_MASK: ["n", "n_tokens"], POOLED: ["n", 512]}


def test_equal_weights_give_equal_bytes(bert: Encoder, bert_graph: ModelProto, bert_small: ModelProto) -> None:
    again = encoder_graph(bert)
    assert again.SerializeToString() == bert_graph.SerializeToString()
    assert quantise(again).SerializeToString() == bert_small.SerializeToString()


def test_an_encoder_in_training_is_written_without_dropout_and_stays_in_training(
    bert: Encoder, bert_graph: ModelProto
) -> None:
    try:
        assert encoder_graph(bert.train()).SerializeToString() == bert_graph.SerializeToString()
        assert bert.training
    finally:
        bert.eval()


@pytest.mark.parametrize("name", ["use_v3", "bert"])
def test_in_8_bits_a_text_points_nearly_where_it_did(
    name: str, batch: Callable[..., tuple[Tensor, Tensor]], request: pytest.FixtureRequest
) -> None:
    encoder, graph, small = (request.getfixturevalue(one) for one in (name, f"{name}_graph", f"{name}_small"))
    for text in TEXTS:
        inputs = batch(encoder.tokenizer(), [text])
        assert torch.cosine_similarity(run(small, *inputs), run(graph, *inputs)).item() > 0.995


def test_in_8_bits_every_product_with_weights_is_of_integers(
    use_v3_graph: ModelProto, use_v3_small: ModelProto
) -> None:
    floats = {one.name for one in use_v3_small.graph.initializer if one.data_type == onnx.TensorProto.FLOAT}
    products = [node for node in use_v3_small.graph.node if node.op_type in {"MatMul", "Gemm", "Conv"}]
    assert [node.name for node in products if node.input[1] in floats] == []
    assert use_v3_small.ByteSize() < 22e6 < use_v3_graph.ByteSize()


def test_the_scales_of_pieces_keep_their_bits(use_v3: UseV3, use_v3_small: ModelProto) -> None:
    kept = {one.name: numpy_helper.to_array(one) for one in use_v3_small.graph.initializer}
    np.testing.assert_array_equal(kept["embedding.step"], use_v3.embedding.step.numpy())
    np.testing.assert_array_equal(kept["embedding.rows"], use_v3.embedding.rows.numpy())


def test_quantising_changes_neither_its_input_nor_loggers_and_leaves_no_file(
    bert_graph: ModelProto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(logging.root, "handlers", [])
    before = bert_graph.SerializeToString()
    quantise(bert_graph)
    assert bert_graph.SerializeToString() == before
    assert logging.root.handlers == []
    assert list(tmp_path.iterdir()) == []
    assert "".join(capfd.readouterr()) == ""

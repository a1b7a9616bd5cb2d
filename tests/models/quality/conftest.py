"""What the tests of the note-quality model share: the built-in encoder, texts made into inputs, and small models."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import BertConfig, BertModel, BertTokenizerFast

from features.ngrams import N_BUCKETS, hashed_ngrams
from features.text.lexicons import Lexicons
from features.text.signals import N_SIGNALS
from models.bundle import Bundle
from models.quality.encoders.graph import encoder_graph
from models.quality.encoders.use_v3 import UseV3
from models.quality.encoders.use_v3_wheel import load_use_v3
from models.quality.network import Tower
from models.quality.parts import Blend, Embedding, QualityParts, WidePart
from models.quality.reading import BODY
from models.quality.settings import EMBEDDING_DIM, Label, LabelKind, QualitySettings
from training.quality.export import ExportedEncoder, export_quality
from training.quality.recipe import QualityModel

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"今天气很好去公园"]


@pytest.fixture(scope="session")
def use_v3() -> UseV3:
    """The encoder as published; tests leave its weights as they are."""
    return load_use_v3()


@pytest.fixture(scope="session")
def batch() -> Callable[..., tuple[Tensor, Tensor]]:
    """Texts as ids and mask, padded with a given id to the longest."""

    def make(tokenizer: Tokenizer, texts: Sequence[str], padding: int = 0) -> tuple[Tensor, Tensor]:
        rows = [torch.tensor(tokenizer.encode(text).ids) for text in texts]
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=padding)
        lengths = torch.tensor([len(row) for row in rows])
        return ids, (torch.arange(ids.shape[1]) < lengths[:, None]).to(torch.int64)

    return make


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two layers with random weights, and a WordPiece tokenizer of thirteen pieces."""
    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(3)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=13, max_position_embeddings=48, **sizes)).save_pretrained(folder)
    BertTokenizerFast(vocab={piece: place for place, piece in enumerate(VOCABULARY)}).save_pretrained(folder)
    return folder


def numbers(*shape: int, value: float = 0.0) -> Any:
    return np.full(shape, value, np.float32)


@pytest.fixture(scope="session")
def wide_model() -> QualityModel:
    """Without a tower: ``spam`` (harm) has logit 4 * (w - 2) / 2 + 0.5 and ``travel`` (neutral) 0.5 - 2.

    w is 1 of a note whose body is 加微信, and 0 of one that shares no run of characters with it: all but the two ends
    of its twelve n-grams add sqrt(12) / 10, and the row's norm is sqrt(12).
    """
    weight, norm = np.zeros((N_BUCKETS, 2), np.float16), np.ones((N_BUCKETS, 2), np.float16)
    ends = hashed_ngrams("x", field=BODY)[0]
    own = np.setdiff1d(hashed_ngrams("加微信", field=BODY)[0], ends)
    weight[own, 0] = 12**0.5 / len(own)
    signals = numbers(N_SIGNALS), numbers(N_SIGNALS, value=1), numbers(N_SIGNALS, 2)
    wide = WidePart(weight, norm, *signals, np.float32([-2, -1]))
    once = numbers(2, value=1)
    blend = Blend(0 * once, once, 2 * once, 4 * once, once / 2)
    labels = Label("spam", LabelKind.HARM, 0.15, 0.9), Label("travel", LabelKind.NEUTRAL, 0.5, 0.9)
    settings = QualitySettings(labels, "none", None, promote_from=80, limit_below=30)
    return QualityModel(settings, (), QualityParts(wide, blend), None, Lexicons.load())


@pytest.fixture(scope="session")
def wide_bundle(wide_model: QualityModel, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """That model, exported."""
    return export_quality(wide_model, None, tmp_path_factory.mktemp("wide"))


@pytest.fixture(scope="session")
def deep_model(wide_model: QualityModel) -> QualityModel:
    """The same with a tower, of heads as they are before anything is learnt, that weighs 0.6; windows of 24 tokens."""
    torch.manual_seed(3)
    tower = Tower(load_use_v3(), 2).eval()
    rng = np.random.default_rng(4)
    axes = np.linalg.qr(rng.standard_normal((512, EMBEDDING_DIM)))[0]
    parts = replace(
        wide_model.parts,
        blend=replace(wide_model.parts.blend, deep_weight=numbers(2, value=0.6)),
        deep=tower.deep_part(),
        embedding=Embedding(rng.standard_normal(512).astype(np.float32) / 50, axes.astype(np.float32)),
    )
    settings = replace(wide_model.settings, encoder="builtin:use-v3", window_tokens=24)
    return replace(wide_model, settings=settings, parts=parts, tower=tower)


@pytest.fixture(scope="session")
def exported_encoder(use_v3: UseV3) -> ExportedEncoder:
    """The built-in encoder as a graph."""
    return ExportedEncoder(encoder_graph(use_v3), use_v3.tokenizer().to_str(), in_8_bits=False)


@pytest.fixture(scope="session")
def deep_bundle(
    deep_model: QualityModel, exported_encoder: ExportedEncoder, tmp_path_factory: pytest.TempPathFactory
) -> Bundle:
    """The model with a tower, exported in 32 bits."""
    return export_quality(deep_model, exported_encoder, tmp_path_factory.mktemp("deep"))

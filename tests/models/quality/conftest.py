"""What the tests of the note-quality model share: the built-in encoder, and texts made into its inputs."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import BertConfig, BertModel, BertTokenizerFast

from models.quality.encoders.use_v3 import UseV3
from models.quality.encoders.use_v3_wheel import load_use_v3

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

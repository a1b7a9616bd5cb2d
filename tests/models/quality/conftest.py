"""What the tests of the note-quality model share: the built-in encoder, and texts made into its inputs."""

from collections.abc import Callable, Sequence

import pytest
import torch
from tokenizers import Tokenizer
from torch import Tensor

from models.quality.encoders.use_v3 import UseV3
from models.quality.encoders.use_v3_wheel import load_use_v3


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

"""What a text encoder is, whichever weights it has: token ids in, one vector a text out."""

from abc import ABC, abstractmethod
from typing import Final

from tokenizers import Tokenizer
from torch import Tensor, nn

USE_V3: Final = "builtin:use-v3"
HUGGING_FACE: Final = "hf:"
"""What an encoder is called: this, or this before a folder or a name on the hub."""


class Encoder(nn.Module, ABC):
    """A pretrained tower to fine-tune; what is frozen holds no trainable parameter.

    ``name`` is what ``load_encoder`` was asked for. A pooled text has ``dim`` numbers, to be multiplied by ``scale``
    before a head so that heads of every encoder see numbers of size about 1. A text has at most ``max_tokens`` tokens,
    those that mark its ends included; None means any number.
    """

    name: str
    dim: int
    scale: float
    max_tokens: int | None

    @abstractmethod
    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Pooled texts, float32 (n, dim), of int64 ids and mask (n, n_tokens); 1 marks a token, 0 padding.

        A text gives the same vector alone and in a padded batch, whatever ids stand where the mask is 0.
        """

    @abstractmethod
    def tokenizer(self) -> Tokenizer:
        """What makes the ids, marks of the ends included; it neither cuts nor pads."""

"""Google's universal-sentence-encoder-multilingual v3 (Yang et al. 2020, arXiv 1907.04307) as a torch module.

A convolutional encoder: three branches look at windows of 2, 3 and 5 pieces, their sum over the text is projected and
goes through two dense layers. It is small and fast, and knows Chinese and English.
"""

from typing import Final

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.functional import linear, normalize, pad

from models.quality.encoders.encoder import USE_V3, Encoder

DIM: Final = 512
CHANNELS: Final = 256
HIDDEN: Final = 320
WINDOWS: Final = ((2, 0), (3, 1), (5, 2))
"""Per branch, how many pieces a window spans, and how many of them stand before the piece that it is of."""

_EPS: Final = 1e-12


class UseV3(Encoder):
    """The encoder over a tokenizer's pieces; its vectors have unit norm, and its embeddings are frozen."""

    name = USE_V3
    dim = DIM
    scale = 8.0
    max_tokens = None

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__()
        self._tokenizer = tokenizer
        n_features = DIM + len(WINDOWS) * CHANNELS
        self.embedding = FrozenEmbedding(tokenizer.get_vocab_size())
        self.projection = nn.Linear(DIM, len(WINDOWS) * CHANNELS)
        self.projection_norm = nn.LayerNorm(len(WINDOWS) * CHANNELS, _EPS)
        self.branches = nn.ModuleList(Branch(*window) for window in WINDOWS)
        self.norm = nn.LayerNorm(n_features, _EPS)
        self.pool = nn.Linear(n_features, DIM)
        self.hidden = Dense(DIM, HIDDEN, HIDDEN)
        self.output = Dense(HIDDEN, DIM, DIM)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Pooled texts, see ``Encoder``."""
        mask = attention_mask.unsqueeze(-1).to(torch.float32)
        rows, step = self.embedding(input_ids)
        projected = linear(rows, self.projection.weight) * step + self.projection.bias
        inputs = (self.projection_norm(projected) * mask).split(CHANNELS, dim=-1)
        features = [branch(x, mask) for branch, x in zip(self.branches, inputs, strict=True)]
        normal = self.norm(torch.cat([rows * step, *features], -1))
        summed = (mask.transpose(1, 2) @ normal).squeeze(1)
        n_tokens = mask.sum(1)
        pooled = self.pool(summed / n_tokens) * n_tokens.sqrt()
        return normalize(torch.tanh(self.output(torch.relu(self.hidden(pooled)))), dim=-1)

    def tokenizer(self) -> Tokenizer:
        """The pieces' unigram model."""
        return self._tokenizer


class FrozenEmbedding(nn.Module):
    """One vector a piece in whole steps from its zero, as in the wheel; pieces differ in their steps.

    A matrix product should see the rows, and be multiplied by the steps: where the graph is quantised, all pieces of a
    note share one scale, and pieces of small steps would lose most of their bits (cosine .995 instead of .999).
    """

    rows: Tensor
    zero: Tensor
    step: Tensor

    def __init__(self, n_pieces: int) -> None:
        super().__init__()
        self.register_buffer("rows", torch.zeros(n_pieces, DIM, dtype=torch.uint8))
        self.register_buffer("zero", torch.zeros(n_pieces, 1))
        self.register_buffer("step", torch.zeros(n_pieces, 1))

    def forward(self, input_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Rows (n, n_tokens, DIM) and steps (n, n_tokens, 1), float32; a piece's vector is row * step."""
        return self.rows[input_ids].to(torch.float32) - self.zero[input_ids], self.step[input_ids]


class Branch(nn.Module):
    """Two windows of a size, one after the other."""

    def __init__(self, width: int, n_before: int) -> None:
        super().__init__()
        self.first = Window(width, n_before)
        self.second = Window(width, n_before)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Of x's shape (n, n_tokens, CHANNELS); x must be zero where the mask is."""
        output: Tensor = self.second(self.first(x) * mask)
        return output


class Window(nn.Module):
    """A residual 1-D convolution, written as one matrix product over the pieces that a window spans."""

    def __init__(self, width: int, n_before: int) -> None:
        super().__init__()
        self._width = width
        self._padding = (0, 0, n_before, width - 1 - n_before)
        self.linear = nn.Linear(width * CHANNELS, CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        """Of x's shape (n, n_tokens, CHANNELS); zeros stand before and after it."""
        padded = pad(x, self._padding)
        spans = [padded[:, place : place - self._width + 1 or None] for place in range(self._width)]
        return torch.relu(self.linear(torch.cat(spans, -1))) + x


class Dense(nn.Module):
    """A linear layer with a detour of two beside it."""

    def __init__(self, n_in: int, n_between: int, n_out: int) -> None:
        super().__init__()
        self.straight = nn.Linear(n_in, n_out, bias=False)
        self.enter = nn.Linear(n_in, n_between, bias=False)
        self.leave = nn.Linear(n_between, n_out, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Before any activation, (n, n_out)."""
        output: Tensor = self.straight(x) + self.leave(torch.relu(self.enter(x)))
        return output

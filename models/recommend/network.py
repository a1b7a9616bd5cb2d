"""A sequence model: what a user takes up next, by the order of what they took up (GRU4Rec, Hidasi et al. 2016).

The one file of recommendation that loads torch; serving runs the graph that training writes of it.
"""

from typing import Final

import torch
from torch import Tensor, nn

DIMENSIONS: Final = 64
HIDDEN: Final = 128
_DROPOUT: Final = 0.3


class NextNote(nn.Module):
    """Notes as vectors, a GRU over them, and for every place the vector of the note that should come next."""

    def __init__(self, n_notes: int) -> None:
        super().__init__()
        self.n_notes = n_notes
        self.notes = nn.Embedding(n_notes + 1, DIMENSIONS, padding_idx=n_notes)
        nn.init.normal_(self.notes.weight, std=0.1)
        self.bias = nn.Parameter(torch.zeros(n_notes))
        self.drop = nn.Dropout(_DROPOUT)
        self.gru = nn.GRU(DIMENSIONS, HIDDEN, batch_first=True)
        self.out = nn.Linear(HIDDEN, DIMENSIONS)

    def forward(self, notes: Tensor) -> Tensor:
        """Vectors (batch, length, 64) of what follows each of ``notes`` (batch, length), padded with ``n_notes``."""
        hidden, _ = self.gru(self.drop(self.notes(notes)))
        wanted: Tensor = self.out(self.drop(hidden))
        return wanted

    def logits(self, wanted: Tensor, among: Tensor) -> Tensor:
        """How well each of some notes follows, (n, len(among)), for vectors (n, 64)."""
        return wanted @ self.notes.weight[among].T + self.bias[among]

"""The tower as it is trained: an encoder, and a head for each thing judged."""

import torch
from torch import Tensor, nn

from models.quality.encoders.encoder import Encoder
from models.quality.parts import DeepPart

N_HIDDEN = 128
DROPOUT = 0.2


class Tower(nn.Module):
    """Logits of windows, (n, n_columns); every head reads the same pooled text (notation as in ``DeepPart``)."""

    def __init__(self, encoder: Encoder, n_columns: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.hidden = nn.Linear(encoder.dim, n_columns * N_HIDDEN)
        self.output = nn.Parameter(torch.empty(n_columns, N_HIDDEN))
        self.output_bias = nn.Parameter(torch.zeros(n_columns))
        self.dropout = nn.Dropout(DROPOUT)
        nn.init.uniform_(self.output, -(N_HIDDEN**-0.5), N_HIDDEN**-0.5)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits before blending."""
        pooled = self.dropout(self.encoder(input_ids, attention_mask) * self.encoder.scale)
        hidden = torch.relu(self.hidden(pooled)).reshape(-1, *self.output.shape)
        logits: Tensor = (self.dropout(hidden) * self.output).sum(2) + self.output_bias
        return logits

    def heads(self) -> list[nn.Parameter]:
        """The parameters that are learnt from nothing, and so learn faster."""
        return [*self.hidden.parameters(), self.output, self.output_bias]

    def deep_part(self) -> DeepPart:
        """The heads as plain arrays over the encoder's own output, its scale folded in."""
        n_columns = len(self.output)
        weight = self.hidden.weight.detach() * self.encoder.scale
        return DeepPart(
            hidden=weight.T.reshape(self.encoder.dim, n_columns, N_HIDDEN).numpy(force=True).copy(),
            hidden_bias=self.hidden.bias.detach().reshape(n_columns, N_HIDDEN).numpy(force=True).copy(),
            output=self.output.numpy(force=True).copy(),
            output_bias=self.output_bias.numpy(force=True).copy(),
        )

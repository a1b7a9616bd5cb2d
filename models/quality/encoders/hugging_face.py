"""Any encoder checkpoint in Hugging Face's format, from a folder or the hub, as a trainable tower."""

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from torch import Tensor
from transformers import AutoModel, AutoTokenizer, PreTrainedModel
from transformers.utils.hub import cached_file

from models.errors import EncoderError
from models.quality.encoders.encoder import HUGGING_FACE, Encoder


class HuggingFaceEncoder(Encoder):
    """A transformer pooled to its first token's vector, or to the mean over its tokens; all of it is trained."""

    scale = 1.0  # the last layer is normalised

    def __init__(self, name: str, model: PreTrainedModel, tokenizer: Any, *, pools_first: bool) -> None:
        super().__init__()
        self.name = HUGGING_FACE + name
        self.dim = int(model.config.hidden_size)
        self.max_tokens = min(int(tokenizer.model_max_length), int(model.config.max_position_embeddings))
        self.model = model
        self._tokenizer = _unbounded(tokenizer.backend_tokenizer)
        self._pad_id = int(tokenizer.pad_token_id)
        self._pools_first = pools_first

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Pooled texts, see ``Encoder``; padding stands at the end."""
        ids = input_ids.masked_fill(attention_mask == 0, self._pad_id)  # RoBERTa counts positions by it
        states: Tensor = self.model(input_ids=ids, attention_mask=attention_mask).last_hidden_state
        if self._pools_first:
            return states[:, 0]
        mask = attention_mask.unsqueeze(-1).to(states.dtype)
        return (states * mask).sum(1) / mask.sum(1)

    def tokenizer(self) -> Tokenizer:
        """The checkpoint's own fast tokenizer."""
        return self._tokenizer


def load_hugging_face(name: str) -> HuggingFaceEncoder:
    """The checkpoint in a folder, or of a name on the hub (or in its local cache, see ``HF_HOME``).

    Pooled as its ``1_Pooling/config.json`` says, by the mean where it has none. EncoderError for a checkpoint that
    can't be had or read, that lacks weights, or whose tokenizer has no fast form. Code in a checkpoint is never run.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
        model, report = AutoModel.from_pretrained(name, output_loading_info=True, dtype="float32")
        pools_first = _pools_first(name)
    except (OSError, ValueError) as error:
        raise EncoderError(f"{HUGGING_FACE}{name} can't be loaded: {str(error).splitlines()[0]}") from error
    if not tokenizer.is_fast or tokenizer.pad_token_id is None:
        raise EncoderError(f"{HUGGING_FACE}{name} has no fast tokenizer with a padding token")
    if missing := sorted(key for key in report["missing_keys"] if not key.startswith("pooler.")):
        raise EncoderError(
            f"{HUGGING_FACE}{name} lacks the weights of {len(missing)} parameters, {missing[0]} among them"
        )
    return HuggingFaceEncoder(name, model, tokenizer, pools_first=pools_first)


def _pools_first(name: str) -> bool:
    """Whether sentence-transformers' description of the checkpoint, where there is one, asks for the first token."""
    path = cached_file(name, "1_Pooling/config.json", _raise_exceptions_for_missing_entries=False)
    return path is not None and bool(json.loads(Path(path).read_bytes()).get("pooling_mode_cls_token"))


def _unbounded(tokenizer: Tokenizer) -> Tokenizer:
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer

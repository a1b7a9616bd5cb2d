"""Encoders in Hugging Face's format, on a tiny BERT that is really saved and loaded."""

import json
from collections.abc import Callable
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
from torch import Tensor
from transformers import BertModel

from models.errors import EncoderError
from models.quality.encoders.encoder import Encoder
from models.quality.encoders.loading import load_encoder

TEXTS = ("今天天气很好", "去公园", "好")


def load(folder: Path) -> Encoder:
    encoder = load_encoder(f"hf:{folder}")
    assert encoder is not None
    return encoder.eval()


def test_what_a_checkpoint_says_of_itself(checkpoint: Path) -> None:
    encoder = load(checkpoint)
    assert (encoder.name, encoder.dim, encoder.scale, encoder.max_tokens) == (f"hf:{checkpoint}", 32, 1.0, 48)
    assert encoder.tokenizer().encode("今天 x").tokens == ["[CLS]", "今", "天", "[UNK]", "[SEP]"]
    assert all(parameter.requires_grad for parameter in encoder.parameters())


def test_a_text_is_the_mean_of_its_tokens(checkpoint: Path, batch: Callable[..., tuple[Tensor, Tensor]]) -> None:
    encoder = load(checkpoint)
    ids, mask = batch(encoder.tokenizer(), TEXTS[:1])
    with torch.no_grad():
        states = BertModel.from_pretrained(checkpoint).eval()(ids, mask).last_hidden_state
        torch.testing.assert_close(encoder(ids, mask), states.mean(1))


def test_a_text_is_its_first_token_where_the_checkpoint_says_so(
    checkpoint: Path, tmp_path: Path, batch: Callable[..., tuple[Tensor, Tensor]]
) -> None:
    for file in checkpoint.iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_cls_token": True}))
    encoder = load(tmp_path)
    ids, mask = batch(encoder.tokenizer(), TEXTS)
    with torch.no_grad():
        states = BertModel.from_pretrained(checkpoint).eval()(ids, mask).last_hidden_state
        torch.testing.assert_close(encoder(ids, mask), states[:, 0])


def test_a_text_alone_equals_that_text_padded_with_anything(
    checkpoint: Path, batch: Callable[..., tuple[Tensor, Tensor]]
) -> None:
    encoder = load(checkpoint)
    with torch.no_grad():
        together = encoder(*batch(encoder.tokenizer(), TEXTS, padding=7))
        alone = torch.cat([encoder(*batch(encoder.tokenizer(), [text])) for text in TEXTS])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_a_checkpoint_that_lacks_weights_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    for file in checkpoint.iterdir():
        (tmp_path / file.name).symlink_to(file)
    config = json.loads((checkpoint / "config.json").read_text())
    (tmp_path / "config.json").unlink()
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with pytest.raises(EncoderError, match=r"lacks the weights of 16 parameters, encoder\.layer\.2"):
        load(tmp_path)


def test_a_folder_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=f"hf:{tmp_path} can't be loaded: "):
        load(tmp_path)


def test_without_the_hub_a_checkpoints_name_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(EncoderError, match="hf:hfl/rbt3 can't be loaded: "):
        load_encoder("hf:hfl/rbt3")


def test_a_checkpoint_whose_tokenizer_cannot_pad_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    for file in checkpoint.iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "tokenizer_config.json").unlink()
    settings = json.loads((checkpoint / "tokenizer_config.json").read_text())
    settings |= {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": None}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(EncoderError, match="has no fast tokenizer with a padding token"):
        load(tmp_path)

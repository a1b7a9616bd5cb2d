"""Which encoder a name stands for."""

import pytest

from models.errors import EncoderError
from models.quality.encoders.loading import load_encoder


def test_the_built_in_encoder_is_loaded_by_its_name() -> None:
    encoder = load_encoder("builtin:use-v3")
    assert encoder is not None
    assert (encoder.name, encoder.dim, encoder.scale, encoder.max_tokens) == ("builtin:use-v3", 512, 8.0, None)


def test_none_is_no_encoder() -> None:
    assert load_encoder("none") is None


@pytest.mark.parametrize("name", ["use-v3", "builtin:", "hf:", "", "NONE"])
def test_another_name_is_refused_with_the_allowed_forms(name: str) -> None:
    with pytest.raises(EncoderError, match=rf"'{name}', expected builtin:use-v3, hf:NAME_OR_FOLDER or none"):
        load_encoder(name)

"""From an encoder's name in the configuration to the encoder."""

from typing import Final

from models.errors import EncoderError
from models.quality.encoders.encoder import HUGGING_FACE, USE_V3, Encoder
from models.quality.encoders.use_v3_wheel import load_use_v3

NONE: Final = "none"


def load_encoder(name: str) -> Encoder | None:
    """The pretrained encoder; None for ``none``, a model without a tower.

    EncoderError for a name of another form, and where the weights are not to be had or do not fit.
    """
    if name == NONE:
        return None
    if name == USE_V3:
        return load_use_v3()
    if name.startswith(HUGGING_FACE) and len(name) > len(HUGGING_FACE):
        from models.quality.encoders.hugging_face import load_hugging_face  # its import takes seconds

        return load_hugging_face(name.removeprefix(HUGGING_FACE))
    raise EncoderError(f"unknown encoder {name!r}, expected {USE_V3}, {HUGGING_FACE}NAME_OR_FOLDER or {NONE}")

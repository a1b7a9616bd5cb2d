"""``python -m benchmarks.quality BUNDLE``: what scoring a note costs, part by part, beside the same network in torch.

BUNDLE is a bundle with the built-in encoder, such as ``var/bundles/quality/<digest>``. One thread; everything takes
turns in the same run, and each figure is a median. What it gave stands in docs/quality.md.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from rich.console import Console
from rich.table import Table
from tokenizers import Tokenizer

from features.text.lexicons import NAMES, Lexicons
from features.text.signals import find_signals
from models.bundle import Bundle, read_bundle
from models.quality.encoders.loading import load_encoder
from models.quality.network import Tower
from models.quality.reading import IDS, MASK, NoteReader, NoteText
from models.quality.scorer import TOKENIZER, QualityScorer

SENTENCE: Final = "周末和朋友去了巷子里的小店，手冲咖啡很香，人均四十，靠窗的位置能看到老树，下次还想再来。"
LENGTHS: Final = (40, 200, 1_000)
N_ROUNDS: Final = 200


def main() -> None:
    """Measure, and print a table a length."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("bundle", type=Path)
    torch.set_num_threads(1)
    bundle = read_bundle(parser.parse_args().bundle)
    scorer = QualityScorer(bundle)
    for n_chars in LENGTHS:
        note = NoteText("", (SENTENCE * (n_chars // len(SENTENCE) + 1))[:n_chars])
        Console().print(_table(f"{n_chars} characters", _medians_ms(_parts(bundle, scorer, note))))


def _parts(bundle: Bundle, scorer: QualityScorer, note: NoteText) -> dict[str, Callable[[], object]]:
    lexicons = Lexicons.from_files({f"{name}.txt": bundle.files[f"{name}.txt"] for name in NAMES})
    tokenizer = Tokenizer.from_buffer(bundle.files[TOKENIZER])
    reader = NoteReader(lexicons, tokenizer, window_tokens=scorer.settings.window_tokens or 0)
    arrays = reader.read([note]).arrays
    tower = _tower(scorer)
    ids, mask = torch.from_numpy(arrays[IDS]), torch.from_numpy(arrays[MASK])
    return {
        "whole note": lambda: scorer.score([note]),
        "front end: normalise, words, signals": lambda: find_signals(note.title, note.body, lexicons),
        "reading: front end, n-grams, tokens": lambda: reader.read([note]),
        "graph": lambda: scorer.runner.run(arrays),
        "encoder and heads in torch": lambda: _run(tower, ids, mask),
    }


def _tower(scorer: QualityScorer) -> Tower:
    """A network of the same shape; its weights make no difference to its speed."""
    encoder = load_encoder(scorer.settings.encoder)
    if encoder is None:
        raise SystemExit("the bundle has no encoder to compare")
    return Tower(encoder, len(scorer.settings.labels)).eval()


@torch.inference_mode()
def _run(tower: Tower, ids: torch.Tensor, mask: torch.Tensor) -> Any:
    return tower(ids, mask)


def _medians_ms(parts: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in parts}
    for turn in range(N_ROUNDS + 5):
        for name, part in parts.items():
            started = time.perf_counter()
            part()
            if turn >= 5:
                times[name].append((time.perf_counter() - started) * 1000)
    return {name: statistics.median(own) for name, own in times.items()}


def _table(title: str, medians_ms: Mapping[str, float]) -> Table:
    whole = medians_ms["whole note"]
    table = Table("part", "ms", "of the whole", title=title)
    for name, one in medians_ms.items():
        table.add_row(name, f"{one:.2f}", f"{one / whole:.2f}")
    return table


if __name__ == "__main__":
    main()

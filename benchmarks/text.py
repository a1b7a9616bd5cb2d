"""``python -m benchmarks.text FOLDER``: how fast the text front end is, how it cuts words, and how often it finds what.

FOLDER is a dataset in the table contract (docs/data.md) with notes and, for rates by label, note_labels. What it gave
on public data stands in docs/text.md.
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import jieba
import numpy as np
from rich.console import Console
from rich.table import Table

from features.sources import Dataset
from features.text.findings import FINDINGS
from features.text.lexicons import Lexicons
from features.text.normalise import normalise
from features.text.segment import segment
from features.text.signals import ReadNote, find_signals, signal_row

Note: TypeAlias = tuple[str, str, str]  # what its labels say, title, body

N_TIMED = 500


def main() -> None:
    """Read the notes and print what was measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.text", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=20_000, help="how many notes, drawn by their id's hash")
    arguments = parser.parse_args()
    notes = read_notes(arguments.folder, arguments.rows)
    console, lexicons = Console(), Lexicons.load()
    console.print(rates(notes, lexicons))
    for line in (*speeds(notes, lexicons), *agreement(notes[:2000], lexicons)):
        console.print(line)


def read_notes(folder: Path, n: int) -> list[Note]:
    """Up to ``n`` notes with their labels (``name 0`` or ``name 1``, each of several), the same ones every time."""
    dataset = Dataset(folder, now=time.time_ns() // 1000)
    dataset.require("notes")
    query = """
        select coalesce(string_agg(label || ' ' || cast(round(value) as int), ', ' order by label), 'unlabelled'),
               coalesce(any_value(title), ''), any_value(body)
        from notes left join note_labels using (note_id)
        group by note_id order by md5(note_id) limit ?
    """
    return dataset.connection.execute(query, [n]).fetchall()


def rates(notes: Sequence[Note], lexicons: Lexicons) -> Table:
    """The percentage of notes with each finding, by what their labels say."""
    n = Counter(label for label, _, _ in notes)
    hits: Counter[tuple[str, str]] = Counter()
    for label, title, body in notes:
        found = {one.code for one in find_signals(title, body, lexicons).findings}
        hits.update((label, code) for code in found)
        hits[label, "contact or diversion, any"] += bool(found & CONTACT)
    table = Table("finding", *(f"{label} ({n[label]:,})" for label in sorted(n)))
    for code in (*FINDINGS, "contact or diversion, any"):
        table.add_row(code, *(f"{100 * hits[label, code] / n[label]:.2f}" for label in sorted(n)))
    return table


CONTACT = {"phone_number", "wechat", "qq", "email", "contact", "disguised_contact", "diversion"}


def speeds(notes: Sequence[Note], lexicons: Lexicons) -> list[str]:
    """CPU time a note of 200 characters, of notes that have so many."""
    bodies = [body[:200] for _, _, body in notes if len(body) >= 200][:N_TIMED]
    steps: dict[str, Callable[[str], object]] = {
        "normalise": normalise,
        "segment": segment,
        "jieba": jieba.lcut,
        "all signals and findings": lambda body: find_signals("", body, lexicons),
    }
    return [f"{name}: {_microseconds(step, bodies):.0f} µs a note of 200 characters" for name, step in steps.items()]


def agreement(notes: Sequence[Note], lexicons: Lexicons) -> list[str]:
    """How many notes get the same words, and the same signals, from ``segment`` and from jieba itself."""
    ours, theirs = (
        [ReadNote(title, body, lexicons, cut=cut) for _, title, body in notes] for cut in (segment, jieba.lcut)
    )
    pairs = list(zip(ours, theirs, strict=True))
    words = np.mean([one.body.words == other.body.words for one, other in pairs])
    same = np.mean([np.array_equal(signal_row(one), signal_row(other)) for one, other in pairs])
    close = np.mean([np.allclose(signal_row(one), signal_row(other), rtol=0.01, atol=0.01) for one, other in pairs])
    n = f"{len(notes):,} notes"
    return [f"the same words: {words:.2%} of {n}; the same signals: {same:.2%}; within a hundredth: {close:.2%}"]


def _microseconds(step: Callable[[str], object], texts: Sequence[str]) -> float:
    for text in texts:  # warm the caches
        step(text)
    began = time.process_time()
    for text in texts:
        step(text)
    return (time.process_time() - began) / max(len(texts), 1) * 1e6


if __name__ == "__main__":
    main()

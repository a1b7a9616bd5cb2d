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
from training.quality.evasions import WAYS, evade

Note: TypeAlias = tuple[str, str, str]  # what its labels say, title, body

CONTACT = {"phone_number", "wechat", "qq", "email", "contact", "disguised_contact", "diversion"}
ANY_CONTACT = "contact or diversion, any"
N_TIMED = 500
N_EVADED = 300
SHARES = (0.3, 1.0)


def main() -> None:
    """Read the notes and print what was measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.text", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=20_000, help="how many notes, drawn by their id's hash")
    arguments = parser.parse_args()
    notes = read_notes(arguments.folder, arguments.rows)
    console, lexicons = Console(), Lexicons.load()
    console.print(rates(notes, lexicons))
    console.print(evasions(notes, lexicons))
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
        found = codes(title, body, lexicons)
        hits.update((label, code) for code in found)
        hits[label, ANY_CONTACT] += bool(found & CONTACT)
    table = Table("finding", *(f"{label} ({n[label]:,})" for label in sorted(n)))
    for code in (*FINDINGS, ANY_CONTACT):
        table.add_row(code, *(f"{100 * hits[label, code] / n[label]:.2f}" for label in sorted(n)))
    return table


def evasions(notes: Sequence[Note], lexicons: Lexicons) -> Table:
    """Of notes with contact or diversion: the percentage that still have some when their bodies are evaded."""
    bodies = [body for _, _, body in notes if codes("", body, lexicons) & CONTACT][:N_EVADED]
    table = Table(f"evasion of {len(bodies)} notes", *(f"{share:.0%} of characters" for share in SHARES))
    for way in WAYS:
        evaded = [[evade(body, way, seed=0, share=share) for body in bodies] for share in SHARES]
        kept = [np.mean([bool(codes("", body, lexicons) & CONTACT) for body in some]) for some in evaded if some]
        table.add_row(way, *(f"{share:.1%}" for share in kept))
    return table


def codes(title: str, body: str, lexicons: Lexicons) -> set[str]:
    """The codes of what is found in a note."""
    return {one.code for one in find_signals(title, body, lexicons).findings}


def speeds(notes: Sequence[Note], lexicons: Lexicons) -> list[str]:
    """CPU time a note of 200 characters, of notes that have so many; nothing where none has."""
    bodies = [body[:200] for _, _, body in notes if len(body) >= 200][:N_TIMED]
    steps: dict[str, Callable[[str], object]] = {
        "normalise": normalise,
        "segment": segment,
        "jieba": jieba.lcut,
        "all signals and findings": lambda body: find_signals("", body, lexicons),
    }
    return [
        f"{name}: {_microseconds(step, bodies):.0f} µs a note of 200 characters"
        for name, step in steps.items()
        if bodies
    ]


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

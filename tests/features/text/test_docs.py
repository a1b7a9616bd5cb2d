"""The page about text says what the code says."""

import re
from pathlib import Path

from features.text.findings import FINDINGS
from features.text.lexicons import NAMES
from features.text.normalise import NORMALISER, normalise
from features.text.segment import SEGMENTER
from features.text.signals import SIGNALS

PAGE = (Path(__file__).parents[3] / "docs" / "text.md").read_text(encoding="utf-8")


def section(title: str) -> list[str]:
    """The lines of a section's table."""
    text = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return [line for line in text.splitlines() if line.startswith("| `")]


def test_the_page_lists_every_signal_in_order() -> None:
    assert section("Signals, in the order models read them") == [
        f"| `{one.name}` | {one.unit} | {one.meaning} |" for one in SIGNALS
    ]


def test_the_page_lists_every_finding_with_its_words() -> None:
    assert section("Findings") == [f"| `{code}` | {text.zh} | {text.en} |" for code, text in FINDINGS.items()]


def test_the_page_lists_every_lexicon() -> None:
    named = [re.match(r"\| `(\w+)\.txt` \|", line) for line in section("Lexicons")]
    assert tuple(one[1] for one in named if one) == NAMES


def test_the_examples_of_normalising_are_what_it_does() -> None:
    text = PAGE.partition("\n## Normalising\n")[2].partition("\n**")[0]
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")][2:]
    pairs = [pair for _, written, read in rows for pair in zip(written.split(", "), read.split(", "), strict=True)]
    assert len(pairs) > 10
    assert [(written, normalise(written).text) for written, _ in pairs] == pairs


def test_the_page_names_the_versions_that_contracts_carry() -> None:
    assert f"`{NORMALISER}`" in PAGE
    assert f"`{SEGMENTER}`" in PAGE

"""Lists of phrases that tell what a note is up to, and where they stand in a text.

A lexicon is a UTF-8 file ``<name>.txt``, one phrase a line; lines that begin with # and empty lines are comments. A
line that begins with - is an innocent phrase: where it stands, no phrase within it counts (第一 is a superlative, but
-第一次 is not). Phrases are compared with normalised text and are normalised themselves. Of phrases that overlap, the
one that begins first counts, and of those the longest.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from ahocorasick_rs import AhoCorasick, MatchKind

from features.errors import DataError
from features.text.aligned import Span
from features.text.normalise import normalise

BUILT_IN: Final = Path(__file__).parent / "words"
NAMES: Final = ("contact", "diversion", "promotion", "superlative", "guarantee", "clickbait", "hook")
MAX_PHRASE_CHARS: Final = 40


class Lexicon:
    """One list of phrases; ``find`` gives where they stand in normalised text."""

    def __init__(self, file: str, text: str) -> None:
        """Read a lexicon; DataError names the file, the line and the value of the first bad one."""
        self.file_text = text
        lines = dict(_phrases(file, text))
        self._counts = [not innocent for innocent in lines.values()]
        self._matcher = AhoCorasick(lines, matchkind=MatchKind.LeftmostLongest)

    def __len__(self) -> int:
        """How many phrases count."""
        return sum(self._counts)

    def find(self, text: str) -> list[Span]:
        """The phrases of this lexicon in normalised text, in order, none overlapping another."""
        found = self._matcher.find_matches_as_indexes(text)
        return [Span(start, end) for place, start, end in found if self._counts[place]]


def _phrases(file: str, text: str) -> Iterator[tuple[str, bool]]:
    """(normalised phrase, whether it is innocent) of each line."""
    seen: set[str] = set()
    for number, line in enumerate(text.splitlines(), start=1):
        written = line.strip("\ufeff").strip()
        if not written or written.startswith("#"):
            continue
        phrase = normalise(written.removeprefix("-")).text
        wrong = (
            "has no characters"
            if not phrase
            else f"is longer than {MAX_PHRASE_CHARS} characters"
            if len(phrase) > MAX_PHRASE_CHARS
            else "stands there twice"
            if phrase in seen
            else ""
        )
        if wrong:
            raise DataError(f"{file} line {number}: {written!r} {wrong}")
        seen.add(phrase)
        yield phrase, written.startswith("-")


@dataclass(frozen=True, slots=True)
class Lexicons:
    """The lexicons by name, one for each of ``NAMES``, in that order."""

    by_name: Mapping[str, Lexicon]

    @classmethod
    def load(cls, folder: Path | None = None) -> Self:
        """The built-in lexicons, each replaced by the file of that name in ``folder`` if there is one.

        DataError for a folder that is not there, and for a ``.txt`` that is no lexicon's, not UTF-8, or has a bad line.
        """
        if folder and not folder.is_dir():
            raise DataError(f"{folder}: no such folder")
        files = {path.name: path.read_bytes() for path in sorted(folder.glob("*.txt"))} if folder else {}
        built_in = {f"{name}.txt": (BUILT_IN / f"{name}.txt").read_bytes() for name in NAMES}
        return cls.from_files({**built_in, **files})

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> Self:
        """The lexicons that ``to_files`` gave; DataError where one is missing, unknown or bad."""
        expected = {f"{name}.txt" for name in NAMES}
        if unlike := sorted(expected.symmetric_difference(files)):
            raise DataError(f"lexicons must be {', '.join(sorted(expected))}; missing or unknown: {', '.join(unlike)}")
        return cls({name: Lexicon(f"{name}.txt", _decoded(f"{name}.txt", files[f"{name}.txt"])) for name in NAMES})

    def to_files(self) -> dict[str, bytes]:
        """The lexicons as files by name, byte for byte as they were read: what travels in a bundle."""
        return {f"{name}.txt": one.file_text.encode() for name, one in self.by_name.items()}


def _decoded(file: str, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8: byte {error.start} is {content[error.start]:#04x}") from error

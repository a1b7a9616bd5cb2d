"""The surface signals of a note: one fixed row of numbers for models, and findings with spans for people.

Counts stand as ln(1 + n), so that a long note does not drown the rest; shares are of characters, 0 to 1. Nothing is
ever missing: what a note lacks is 0.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import log1p
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from features.text.findings import Finding, ReadText, findings
from features.text.lexicons import Lexicons
from features.text.patterns import EMOJI_JOINER
from features.text.segment import segment

Row: TypeAlias = npt.NDArray[np.float32]


class ReadNote:
    """A note's title and body, each read once; ``cut`` as for ``ReadText``."""

    def __init__(self, title: str, body: str, lexicons: Lexicons, *, cut: Callable[[str], list[str]] = segment) -> None:
        self.title = ReadText(title, lexicons, cut=cut)
        self.body = ReadText(body, lexicons, cut=cut)

    @property
    def fields(self) -> tuple[ReadText, ReadText]:
        """Title and body."""
        return self.title, self.body

    def share(self, part: float) -> float:
        """``part`` characters as a share of all the note's characters, 0 of an empty note."""
        n = len(self.title.original) + len(self.body.original)
        return part / n if n else 0.0


@dataclass(frozen=True, slots=True)
class Signal:
    """A number read off a note: its name, its unit, what it measures."""

    name: str
    unit: str
    meaning: str
    compute: Callable[[ReadNote], float]


def _count(name: str, code: str, meaning: str) -> Signal:
    return Signal(name, "ln(1 + n)", meaning, lambda note: log1p(sum(len(one.spans[code]) for one in note.fields)))


def _share(name: str, meaning: str, part: Callable[[ReadText], float]) -> Signal:
    return Signal(name, "share", meaning, lambda note: note.share(sum(map(part, note.fields))))


def _characters(accepted: Callable[[str], bool]) -> Callable[[ReadText], int]:
    return lambda read: sum(n for one, n in read.characters.items() if accepted(one))


def _invisible(read: ReadText) -> int:
    if read.original.isprintable():
        return 0
    unseen = sum(not one.isprintable() and not one.isspace() for one in read.original)
    return unseen - len(EMOJI_JOINER.findall(read.original))


def _title_hooks(note: ReadNote) -> float:
    return log1p(len(note.title.spans["hook"]))


def _title_in_body(note: ReadNote) -> float:
    title = set(note.title.words)
    return len(title & set(note.body.words)) / len(title) if title else 0.0


def _distinct_words(note: ReadNote) -> float:
    words = note.body.words
    return len(set(words)) / len(words) if words else 0.0


def _word_length(note: ReadNote) -> float:
    words = note.body.words
    return sum(map(len, words)) / len(words) if words else 0.0


SIGNALS: Final = (
    _count("phone_numbers", "phone_number", "Telephone numbers: mobile, landline with area code, 400 and 800"),
    _count("wechat_ids", "wechat", "WeChat ids"),
    _count("qq_numbers", "qq", "QQ and group numbers"),
    _count("emails", "email", "E-mail addresses"),
    _count("contact_phrases", "contact", "Phrases that ask to get in touch elsewhere"),
    _count("disguised_contacts", "disguised_contact", "Contact words spelled to be overlooked"),
    _count("diversion_phrases", "diversion", "Phrases that lead off the platform"),
    _count("links", "link", "Links and bare host names"),
    _count("prices", "price", "Prices"),
    _count("promotion_phrases", "promotion", "Sales phrases"),
    _count("superlatives", "superlative", "Superlatives that advertising law forbids"),
    _count("guarantees", "guarantee", "Promised effects, cures and returns"),
    _count("clickbait_phrases", "clickbait", "Clickbait frames"),
    _count("hooks", "hook", "Words that hold something back or raise an alarm, in title and body"),
    Signal("title_hooks", "ln(1 + n)", "Such words in the title alone", _title_hooks),
    _share("invisible_share", "Characters without ink: zero width, direction marks, controls", _invisible),
    Signal(
        "repeated_share",
        "share",
        "Four-character stretches of the body that had stood before",
        lambda note: note.body.repeated_share,
    ),
    _share("emoji_share", "Emoji", lambda read: len(read.emoji)),
    _count("hashtags", "hashtag", "Hashtags"),
    _share("hashtag_share", "Characters in hashtags", lambda read: sum(e - s for s, e in read.spans["hashtag"])),
    _share("exclamation_share", "Exclamation and question marks", lambda read: sum(map(read.original.count, "!?！？"))),
    _share("digit_share", "Digits, after normalising", _characters(str.isdecimal)),
    _share("latin_share", "Latin letters, after normalising", _characters(lambda one: "a" <= one <= "z")),
    Signal("title_chars", "ln(1 + n)", "Characters of the title", lambda note: log1p(len(note.title.original))),
    Signal("body_chars", "ln(1 + n)", "Characters of the body", lambda note: log1p(len(note.body.original))),
    Signal("body_words", "ln(1 + n)", "Words of the body", lambda note: log1p(len(note.body.words))),
    Signal("distinct_word_share", "share", "Distinct words of the body, of all its words", _distinct_words),
    Signal("mean_word_chars", "characters", "Mean length of the body's words", _word_length),
    Signal("entropy_bits", "bits", "Entropy of the body's characters", lambda note: note.body.entropy_bits),
    Signal("title_in_body_share", "share", "Distinct words of the title that the body has too", _title_in_body),
)
"""What every quality model reads of a note's surface, in this order."""

N_SIGNALS: Final = len(SIGNALS)


@dataclass(frozen=True, slots=True)
class Signals:
    """A note's row, float32 of shape (N_SIGNALS,), its findings (title first), and the note as it was read."""

    row: Row
    findings: tuple[Finding, ...]
    note: ReadNote


def find_signals(title: str, body: str, lexicons: Lexicons) -> Signals:
    """The signals of one note; any ``str`` will do, an absent title is empty."""
    note = ReadNote(title, body, lexicons)
    found = (*findings("title", note.title), *findings("body", note.body))
    return Signals(signal_row(note), found, note)


def signal_features(notes: Iterable[tuple[str, str]], lexicons: Lexicons) -> Row:
    """The rows of many notes, each (title, body): float32, shape (n_notes, N_SIGNALS)."""
    rows = [signal_row(ReadNote(title, body, lexicons)) for title, body in notes]
    return np.stack(rows) if rows else np.empty((0, N_SIGNALS), np.float32)


def signal_row(note: ReadNote) -> Row:
    """The numbers of one note: float32, shape (N_SIGNALS,)."""
    return np.array([signal.compute(note) for signal in SIGNALS], np.float32)

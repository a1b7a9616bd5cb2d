"""Normalised text: what a reader sees, spelled plainly, whatever was done to hide it from machines.

In order: each character folded (``characters``); spaces and marks that set Chinese characters apart dropped; repeats
squeezed; numbers (``numbers``) and contact words (``variants``) spelled plainly. A step may make work for an earlier
one (v 信 号 becomes 微信 号), so the steps are repeated until nothing changes: normalising again changes nothing more.
Each step is linear in the length of the text.
"""

import re
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from features.text.aligned import Edit, Normalised, Span
from features.text.characters import fold_character
from features.text.numbers import find_numbers
from features.text.patterns import EMOJI_CHARACTER
from features.text.variants import find_variants

NORMALISER: Final = "mingjian-1"
"""Named in the contract of every model that reads normalised text; raised when the same text comes out different."""

MAX_ROUNDS: Final = 8
"""Twice as many as any of a million random texts made of what the steps look for has needed."""

_CHINESE: Final = r"[㐀-䶿一-鿿豈-﫿\U00020000-\U0003ffff]"
_LOOSE: Final = re.compile(r"^\s+|\s+$|\s*\n\s*|\s\s+")
_GAP: Final = re.compile(
    r" (?=[,:;!?。、…)])"
    rf"|(?<={_CHINESE}) (?=[^a-z0-9\s#@])|(?<=[^a-z0-9\s#@]) (?={_CHINESE})"
    rf"|(?<={_CHINESE})[*_|^`·•●]{{1,3}}(?={_CHINESE})"
)
_SPELLED_OUT: Final = re.compile(rf"{_CHINESE}(?:(?:[~=+.☆★…-]|{EMOJI_CHARACTER}){_CHINESE}){{2,}}")
_NOT_CHINESE: Final = re.compile(_CHINESE.replace("[", "[^"))
_REPEAT: Final = re.compile(r"([^\w\s/])\1+|([^\W\d])\2{3,}")


def normalise(text: str) -> Normalised:
    """The text as a reader sees it, aligned with the original; for any ``str`` whatever."""
    plain = Normalised.of(text, [fold_character(one) for one in text])
    for _ in range(MAX_ROUNDS):
        tidied = _tidied(plain)
        if tidied is plain:
            break
        plain = tidied
    return plain


def folded_chars(text: str) -> int:
    """How many characters a text has once each is folded: an Arabic ligature alone may become 18."""
    return sum(n * len(fold_character(one)) for one, n in Counter(text).items())


def folded_start(text: str, n_chars: int) -> str:
    """The longest start of a text that has at most ``n_chars`` characters, as written and once folded."""
    start = text[:n_chars]
    reached = accumulate(len(fold_character(one)) for one in start)
    return start[: sum(n <= n_chars for n in reached)]


def _tidied(text: Normalised) -> Normalised:
    for find in (_loose_spaces, _gaps, _spelled_out, _repeats, find_numbers):
        text = text.edited(find(text.text))
    found = list(find_variants(text.text))
    spans = [Span(*text.original_span(start, end)) for (start, end, _), disguise in found if disguise]
    return text.edited([edit for edit, _ in found], disguised=spans)


def _loose_spaces(text: str) -> Iterator[Edit]:
    """A run of white space becomes a line break or a space; none is left at either end."""
    for match in _LOOSE.finditer(text):
        at_an_end = match.start() == 0 or match.end() == len(text)
        new = "" if at_an_end else "\n" if "\n" in match[0] else " "
        if new != match[0]:
            yield *match.span(), new


def _gaps(text: str) -> Iterator[Edit]:
    """A space beside a Chinese character goes, unless a word of letters or digits is on the other side; so does a mark
    between two Chinese characters that no sentence has there.
    """
    return ((*match.span(), "") for match in _GAP.finditer(text))


def _spelled_out(text: str) -> Iterator[Edit]:
    """国-家-级: any mark or emoji between each two of three or more single Chinese characters goes."""
    return ((*match.span(), _NOT_CHINESE.sub("", match[0])) for match in _SPELLED_OUT.finditer(text))


def _repeats(text: str) -> Iterator[Edit]:
    """A mark repeated stands once (the slash excepted), a letter or Chinese character three times; digits stay."""
    for match in _REPEAT.finditer(text):
        yield *match.span(), match[1] or match[2] * 3

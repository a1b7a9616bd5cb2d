"""Normalised text: what a reader sees, spelled plainly, whatever was done to hide it from machines.

In order: each character folded (``characters``); spaces between Chinese characters and marks between single ones
dropped; repeats squeezed; contact words and telephone numbers spelled plainly (``variants``). A step may make work for
an earlier one (v 信 号 becomes 微信 号), so the steps are repeated until nothing changes: normalising again changes
nothing more. All are linear in the length of the text.
"""

import re
from collections.abc import Iterator
from typing import Final

from features.text.aligned import Edit, Normalised, Span
from features.text.characters import fold_character
from features.text.variants import find_variants

NORMALISER: Final = "mingjian-1"
"""Named in the contract of every model that reads normalised text; raised when the same text comes out different."""

MAX_ROUNDS: Final = 8
"""More rounds than any text has been seen to need (tests search for one that needs more)."""

_CHINESE: Final = r"[㐀-䶿一-鿿豈-﫿\U00020000-\U0003ffff]"
_LOOSE: Final = re.compile(r"^\s+|\s+$|\s*\n\s*|\s\s+")
_GAP: Final = re.compile(rf"(?<={_CHINESE}) (?={_CHINESE})")
_SPELLED_OUT: Final = re.compile(rf"{_CHINESE}(?:[*_|~^=+.•●☆★…-]{_CHINESE}){{2,}}")
_MARK: Final = re.compile(r"[*_|~^=+.•●☆★…-]")
_REPEAT: Final = re.compile(r"([^\w\s/])\1+|([^\W\d])\2{3,}")
_DIGITS_APART: Final = re.compile(r"(?<!\d)\d(?:[ .*_~,、|/·-]{1,2}\d){6,}(?!\d)")
_NUMERAL: Final = "0-9零〇一二三四五六七八九幺壹贰叁肆伍陆柒捌玖oli"
_DIALLED: Final = re.compile(rf"(?<![0-9a-z{_NUMERAL}])[1一幺壹il][{_NUMERAL}]{{10}}(?![0-9a-z{_NUMERAL}])")
_NUMERALS: Final = {
    ord(like): str(digit)
    for digit, alike in enumerate(("零〇o", "一幺壹li", "二贰", "三叁", "四肆", "五伍", "六陆", "七柒", "八捌", "九玖"))
    for like in alike
}


def normalise(text: str) -> Normalised:
    """The text as a reader sees it, aligned with the original; for any ``str`` whatever."""
    plain = Normalised.of(text, [fold_character(one) for one in text])
    for _ in range(MAX_ROUNDS):
        tidied = _tidied(plain)
        if tidied is plain:
            break
        plain = tidied
    return plain


def _tidied(text: Normalised) -> Normalised:
    for find in (_loose_spaces, _gaps, _marks, _repeats, _numbers):
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
    """A space between two Chinese characters goes; one beside a word of letters stays."""
    return ((*match.span(), "") for match in _GAP.finditer(text))


def _marks(text: str) -> Iterator[Edit]:
    """国*家*级: marks between three or more single Chinese characters go."""
    return ((*match.span(), _MARK.sub("", match[0])) for match in _SPELLED_OUT.finditer(text))


def _repeats(text: str) -> Iterator[Edit]:
    """A mark repeated stands once (the slash excepted), a letter or Chinese character three times; digits stay."""
    for match in _REPEAT.finditer(text):
        yield *match.span(), match[1] or match[2] * 3


def _numbers(text: str) -> Iterator[Edit]:
    """Digits set apart (1 3 8 0 ...) are joined; an 11-digit mobile number in other numerals is put in digits."""
    edits = {match.start(): (*match.span(), re.sub(r"\D", "", match[0])) for match in _DIGITS_APART.finditer(text)}
    for match in _DIALLED.finditer(text):
        number = match[0].translate(_NUMERALS)
        if number != match[0] and number[1] >= "3":
            edits.setdefault(match.start(), (*match.span(), number))
    at = 0
    for start in sorted(edits):
        if start >= at:
            yield edits[start]
            at = edits[start][1]

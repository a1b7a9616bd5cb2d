"""One character at a time: the plain form that each Unicode character stands for.

Compatibility forms (full width, circled, mathematical letters), case, accents and traditional Chinese fall away; what
has no ink (zero width, direction marks, variation selectors) becomes nothing. A character is folded without looking at
its neighbours, which an evader could move: so 乾 is always 干, where a phrase dictionary would keep it in 乾坤.
"""

from functools import cache, lru_cache
from typing import Final
from unicodedata import category, normalize, numeric

from opencc import OpenCC

REPLACEMENT: Final = "\ufffd"
"""Stands for half of a surrogate pair, which no encoder would take."""

_BLANKS: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0")  # letters and symbols that show nothing
_LINE_BREAKS: Final = frozenset("\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")
_LETTER_ROWS: Final = (0x1F150, 0x1F170, 0x1F1E6)  # negative circled, negative squared, regional indicators
_SIGNS: Final = {"➕": "+", "➖": "-", "🔟": "10", "⃣": "", "🆔": "id", "❌": "x", "✖": "x", "✘": "x", "✕": "x"}


@lru_cache(maxsize=1 << 16)
def fold_character(character: str) -> str:
    """The plain form of one character: usually one character, of a ligature several, of what has no ink none.

    Folding any character of the result gives that character again.
    """
    folded = _fold_once(character)
    while folded != character:
        character, folded = folded, "".join(map(_fold_once, folded))
    return folded


def _fold_once(character: str) -> str:
    kind = category(character)
    if character in _SIGNS:
        return _SIGNS[character]
    if character in _LINE_BREAKS:
        return "\n"
    if character.isspace():
        return " "
    if kind in {"Cc", "Cf", "Mn", "Me"} or character in _BLANKS:
        return ""
    if kind == "Cs":
        return REPLACEMENT
    if kind in {"Cn", "Co"}:
        return character
    return _plain(character, kind)


def _plain(character: str, kind: str) -> str:
    if kind in {"Nd", "No"} and (value := numeric(character, 0.5)).is_integer():
        return str(int(value))
    for first in _LETTER_ROWS:
        if 0 <= ord(character) - first < 26:
            return chr(ord("a") + ord(character) - first)
    decomposed = normalize("NFKD", character)
    if len(decomposed) == 3 and decomposed[0] == "(" and decomposed[2] == ")":  # ⒱, ㈠
        decomposed = decomposed[1]
    base = "".join(one for one in decomposed if category(one) not in {"Mn", "Me"})
    return "".join(map(_simplified, normalize("NFC", base.casefold())))


def _simplified(character: str) -> str:
    return character if character.isascii() or "\ud800" <= character <= "\udfff" else _opencc().convert(character)


@cache
def _opencc() -> OpenCC:
    return OpenCC("t2s")

"""Texts as an evader would write them, to ask what a model or a signal loses by it.

Nothing here knows the normaliser's tables: homophones come from pypinyin's dictionary, variant characters from OpenCC's
own conversions, letters and digits in other forms from the names in the Unicode database. Each way of evading works on
a share of the characters that it can change, and gives the same text for the same seed.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import cache
from typing import Final, TypeAlias
from unicodedata import lookup

from opencc import OpenCC
from pypinyin import Style, lazy_pinyin

Way: TypeAlias = Callable[[str, random.Random], str]
"""What becomes of one character; the same character where this way can't change it."""

SHARE: Final = 0.3
"""The share of characters that is changed by default: what is left can still be read with little effort."""

_ZERO_WIDTH: Final = tuple(map(lookup, ("ZERO WIDTH SPACE", "ZERO WIDTH NON-JOINER", "WORD JOINER", "SOFT HYPHEN")))
_DIRECTIONS: Final = tuple(map(lookup, ("RIGHT-TO-LEFT MARK", "LEFT-TO-RIGHT OVERRIDE", "POP DIRECTIONAL FORMATTING")))
_MARKS: Final = "*_|^·"
_EMOJI: Final = tuple(map(lookup, ("SPARKLES", "CHERRY BLOSSOM", "FIRE", "WHITE SMILING FACE", "DOG FACE")))
_LETTERS: Final = (
    "CIRCLED LATIN CAPITAL LETTER {}",
    "SQUARED LATIN CAPITAL LETTER {}",
    "NEGATIVE CIRCLED LATIN CAPITAL LETTER {}",
    "NEGATIVE SQUARED LATIN CAPITAL LETTER {}",
    "MATHEMATICAL BOLD CAPITAL {}",
)
_DIGITS: Final = ("CIRCLED DIGIT {}", "MATHEMATICAL BOLD DIGIT {}", "MATHEMATICAL DOUBLE-STRUCK DIGIT {}")
_DIGIT_NAMES: Final = ("ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE")


def evade(text: str, way: str, *, seed: int, share: float = SHARE) -> str:
    """The text written in one of the ``WAYS``, the same for the same arguments; KeyError for an unknown way."""
    change = WAYS[way]
    rng = random.Random(f"{seed}\0{way}\0{text}".encode("utf-8", "surrogatepass"))
    return "".join(change(one, rng) if rng.random() < share else one for one in text)


def homophone(character: str, rng: random.Random) -> str:
    """Another common character of the same sound, whatever its tone."""
    alike = [one for one in _by_sound().get(_sound(character), ()) if one != character] if _common(character) else []
    return rng.choice(alike) if alike else character


def pinyin(character: str, rng: random.Random) -> str:
    """The sound of a Chinese character in Latin letters, without its tone."""
    return _sound(character) if _common(character) else character


def full_width(character: str, rng: random.Random) -> str:
    """The full-width form of an ASCII character."""
    return chr(ord(character) + 0xFEE0) if "!" <= character <= "~" else character


def enclosed(character: str, rng: random.Random) -> str:
    """A letter or digit in a circle or square, or of mathematics."""
    if not (character.isascii() and character.isalnum()):
        return character
    names, name = (_DIGITS, _DIGIT_NAMES[int(character)]) if character.isdigit() else (_LETTERS, character.upper())
    return lookup(rng.choice(names).format(name))


def keycap(character: str, rng: random.Random) -> str:
    """A digit as an emoji key."""
    is_digit = character.isascii() and character.isdigit()
    return character + lookup("VARIATION SELECTOR-16") + lookup("COMBINING ENCLOSING KEYCAP") if is_digit else character


def accented(character: str, rng: random.Random) -> str:
    """The character struck through or underlined by a combining mark."""
    mark = rng.choice(("COMBINING LONG STROKE OVERLAY", "COMBINING LOW LINE", "COMBINING TILDE OVERLAY"))
    return character + lookup(mark) if character.isalnum() else character


def _converted(config: str) -> Way:
    """Each character as OpenCC writes it in another orthography."""

    def change(character: str, rng: random.Random) -> str:
        return _opencc(config).convert(character) if _common(character) else character

    return change


def _followed_by(some: str | tuple[str, ...]) -> Way:
    """A Chinese character, letter or digit with one of some characters after it."""

    def change(character: str, rng: random.Random) -> str:
        return character + rng.choice(some) if character.isalnum() else character

    return change


WAYS: Final[Mapping[str, Way]] = {
    "homophone": homophone,
    "pinyin": pinyin,
    "traditional": _converted("s2t"),
    "hong_kong": _converted("s2hk"),
    "taiwan": _converted("s2tw"),
    "full_width": full_width,
    "enclosed": enclosed,
    "keycap": keycap,
    "accented": accented,
    "zero_width": _followed_by(_ZERO_WIDTH),
    "direction": _followed_by(_DIRECTIONS),
    "spacing": _followed_by(" "),
    "punctuation": _followed_by(_MARKS),
    "emoji": _followed_by(_EMOJI),
}
"""Every way of evading, by name."""


@cache
def _opencc(config: str) -> OpenCC:
    return OpenCC(config)


@cache
def _common(character: str) -> bool:
    """Whether a character is among the 3,755 of GB 2312's first level, which hold the common ones."""
    try:
        encoded = character.encode("gb2312")
    except UnicodeEncodeError:
        return False
    return len(encoded) == 2 and 0xB0 <= encoded[0] <= 0xD7


@cache
def _sound(character: str) -> str:
    return lazy_pinyin(character, style=Style.NORMAL)[0]


@cache
def _by_sound() -> Mapping[str, tuple[str, ...]]:
    alike: dict[str, list[str]] = defaultdict(list)
    for row in range(0xB0, 0xD8):
        for cell in range(0xA1, 0xFF):
            character = bytes((row, cell)).decode("gb2312", "ignore")
            if character:
                alike[_sound(character)].append(character)
    return {sound: tuple(characters) for sound, characters in alike.items()}

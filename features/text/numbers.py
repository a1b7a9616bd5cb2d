"""Telephone numbers written to be overlooked: set apart, broken up by marks, or in other numerals."""

import re
from collections.abc import Iterator
from typing import Final

from features.text.aligned import Edit
from features.text.patterns import EMOJI_CHARACTER


def _in_pieces(mark: str) -> str:
    """A mobile (11 digits), a 400 or 800 number (10) or a landline with its area code (10 to 12), as a pattern.

    Any digit but the first may have up to two marks before it.
    """
    digit = rf"{mark}{{0,2}}\d"
    mobile = rf"1(?={mark}{{0,2}}[3-9])(?:{digit}){{10}}"
    service = rf"[48](?=(?:{mark}{{0,2}}0){{2}})(?:{digit}){{9}}"
    return rf"(?:{mobile}|{service}|0(?:{digit}){{9,11}})(?!\d)"


_CONTACT: Final = "(?:电话|手机|微信|热线|联系|拨打|咨询|详询|垂询|致电|来电|专线)"
_AFTER_A_CONTACT: Final = rf"(?:(?<={_CONTACT})|(?<={_CONTACT}\s)|(?<=[电号:])|(?<=[电号:]\s))"
_ANYWHERE: Final = rf"(?:[*_|^`~·•●]|{EMOJI_CHARACTER})"
_APART: Final = re.compile(
    r"(?<!\d)\d(?:[ .*_~,、|/·-]{1,2}\d){6,}(?!\d)"
    rf"|(?<![\d.]){_in_pieces(_ANYWHERE)}"
    rf"|{_AFTER_A_CONTACT}{_in_pieces('[^0-9a-z㐀-鿿,;、]')}"
)
_NOT_DIGIT: Final = re.compile(r"\D")

_ALIKE: Final = ("零〇o", "一幺壹li", "二贰", "三叁", "四肆", "五伍", "六陆", "七柒", "八捌", "九玖")
_NUMERALS: Final = {ord(one): str(digit) for digit, alike in enumerate(_ALIKE) for one in alike}
_NUMERAL: Final = "0-9" + "".join(_ALIKE)
_MOBILE: Final = re.compile(
    rf"(?<![a-z{_NUMERAL}])[1一幺壹il][3-9{''.join(_ALIKE[3:])}][{_NUMERAL}]{{9}}(?![a-z{_NUMERAL}])"
)


def find_numbers(text: str) -> Iterator[Edit]:
    """The edits that write such numbers of folded text in digits, in order.

    Digits set apart one by one (1 3 8 0 ...) are joined wherever there are seven; numbers in longer pieces where marks
    or emoji that no number has divide them, or after a word such as 电话; other numerals are read where they make a
    mobile number.
    """
    found = [(*match.span(), _NOT_DIGIT.sub("", match[0])) for match in _APART.finditer(text)]
    found += [(*match.span(), match[0].translate(_NUMERALS)) for match in _MOBILE.finditer(text)]
    at = 0
    for start, end, number in sorted(found):
        if start >= at and number != text[start:end]:
            yield start, end, number
            at = end

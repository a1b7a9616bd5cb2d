"""Contact words spelled to be overlooked (v信, 微❤, 扣 扣): found where they mean contact, left alone elsewhere.

A variant that is an innocent word too (威信, 企鹅, v) counts only in a contact's company: after a word such as 加 or
联系, or before 号, 群, a colon with an id, or digits. The spellings are in words/variants.tsv.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

from features.errors import DataError
from features.text.aligned import Edit

FILE: Final = Path(__file__).parent / "words" / "variants.tsv"
JUNK: Final = r"[\s.·・•●*_|\\~^=`'\"°…丶丿\-]"
"""Marks that are put between the characters of a word to break it."""

_BEFORE: Final = (
    r"(?:(?<![增更参添附施追叠强])加|(?<![a-z0-9])\+|(?<![公])私|联系|咨询|详询|留)"
    r"(?:我们?|你们?|您|他|她|下|个|一下|一个|老师|客服|店主|本人|楼主){0,2}[\s:的]{0,3}"
)
_AFTER: Final = (
    rf"(?={JUNK}{{0,3}}(?:号(?![召角称令志牌])|群(?![众岛体]))"
    r"|[\s号是]{0,3}:[\s]{0,3}[a-z0-9_-]{4}"
    r"|[\s:]{0,3}[1-9]\d{6})"
)
_WHERE: Final = {
    "alias": ("", ""),
    "always": ("", ""),
    "context": (_BEFORE, _AFTER),
    "dialled": (None, r"(?=[\s:]{0,3}\+?\d[\d\s-]{5})"),
}
_NEVER: Final = "(?!)"


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """(when, pattern) pairs; a pattern has one group for each of ``_words()``, in their order."""
    found: list[tuple[str, re.Pattern[str]]] = []
    for when, (before, after) in _WHERE.items():
        groups = "|".join(f"({'|'.join(shapes.get(when, [_NEVER]))})" for shapes in _shapes().values())
        if before is not None:
            found.append((when, re.compile(f"{before}(?:{groups})")))
        if after and after != before:
            found.append((when, re.compile(f"(?:{groups}){after}")))
    return tuple(found)


@cache
def _words() -> tuple[str, ...]:
    return tuple(_shapes())


@cache
def _shapes() -> Mapping[str, Mapping[str, list[str]]]:
    """Regular expressions of the spellings, by word and by when they count."""
    shapes: dict[str, dict[str, list[str]]] = {}
    for number, line in enumerate(FILE.read_text(encoding="utf-8").splitlines(), start=1):
        if line.startswith("#") or not line:
            continue
        word, when, spelling = line.split("\t")
        if when not in _WHERE:
            raise DataError(f"{FILE.name} line {number}: {when!r} is not one of {', '.join(_WHERE)}")
        shapes.setdefault(word, {}).setdefault(when, []).append(_shape(spelling))
    return shapes


def _shape(spelling: str) -> str:
    """A spelling that tolerates junk between its characters; one of Latin letters must stand alone."""
    places = re.findall(r"\[[^]]+\]|\S", spelling)
    shape = f"{JUNK}{{0,3}}".join(place if len(place) > 1 else re.escape(place) for place in places)
    first = r"(?<![a-z0-9])(?<![a-z0-9] )" if re.match(r"\[?[a-z]", spelling) else ""
    last = r"(?![a-z])" if re.search(r"[a-z][^[]*$|\[[a-z][^]]*\]$", spelling) else ""
    return f"{first}{shape}{last}"


def find_variants(text: str) -> Iterator[tuple[Edit, bool]]:
    """The edits that spell the contact words of folded text plainly, in order, and whether each was a disguise."""
    found: dict[int, tuple[Edit, bool]] = {}
    for when, pattern in _patterns():
        for match in pattern.finditer(text):
            place, spelled = next((place, one) for place, one in enumerate(match.groups()) if one)
            word = _words()[place]
            if spelled != word:
                start, end = match.span(place + 1)
                found.setdefault(start, ((start, end, word), when != "alias"))
    at = 0
    for start in sorted(found):
        if start >= at:
            yield found[start]
            at = found[start][0][1]

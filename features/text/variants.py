"""Contact words spelled to be overlooked (v信, 微❤, 扣 扣): found where they mean contact, left alone elsewhere.

A variant that is an innocent word too (威信, 企鹅, v) counts only in a contact's company: after a word such as 加 or
联系, or before 号, 群, a colon with an id, or digits. The spellings are in words/variants.tsv.
"""

import re
from collections.abc import Iterator, Mapping, Set
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from features.text.aligned import Edit
from features.text.patterns import EMOJI_CHARACTER

FILE: Final = Path(__file__).parent / "words" / "variants.tsv"
JUNK: Final = rf"(?:[\s.·・•●*_|\\~^=`'\"°…丶丿\-]|{EMOJI_CHARACTER})"
"""Marks that are put between the characters of a word to break it."""

_BEFORE: Final = (
    r"(?:(?<![增更参添附施追叠强])加|(?<![a-z0-9])\+|(?<!公)私|联系|咨询|详询|留)"
    r"(?:我们?|你们?|您|他|她|下|个|一下|一个|老师|客服|店主|本人|楼主){0,2}[\s:的]{0,3}"
)
_AFTER: Final = (
    rf"(?={JUNK}{{0,3}}(?:号(?![召角称令志牌])|[群裙](?![众岛体子摆装]))"
    r"|[\s号是]{0,3}:[\s]{0,3}[a-z0-9_-]{4}"
    r"|[\s:]{0,3}[1-9]\d{6})"
)
_COMPANY: Final = {  # when a spelling counts: in which places, as {} between what stands before and after
    "alias": ("{}",),
    "always": ("{}",),
    "context": (f"{_BEFORE}{{}}", f"{{}}{_AFTER}"),
    "short": (f"{_BEFORE}{{}}", f"{{}}{_AFTER}"),
    "dialled": (r"{}(?=[\s:]{0,3}\+?\d[\d\s-]{5})",),
}
_DISGUISES: Final = frozenset({"always", "context"})
_NEVER: Final = "(?!)"


class _Spelling(NamedTuple):
    first: Set[str]  # the characters that it can begin with
    pattern: str


class _Search(NamedTuple):
    """A pattern with a group for each word of the file, in its order, and what a text must hold for it to match."""

    is_disguise: bool
    triggers: Set[str]
    pattern: re.Pattern[str]


def find_variants(text: str) -> Iterator[tuple[Edit, bool]]:
    """The edits that spell the contact words of folded text plainly, in order, and whether each was a disguise."""
    words, searches = _searches()
    characters = set(text)
    found: dict[int, tuple[Edit, bool]] = {}
    for search in searches:
        if search.triggers.isdisjoint(characters):
            continue
        for match in search.pattern.finditer(text):
            place = match.lastindex or 0
            if match[place] != words[place - 1]:
                edit = *match.span(place), words[place - 1]
                found.setdefault(match.start(place), (edit, search.is_disguise))
    at = 0
    for start in sorted(found):
        if start >= at:
            yield found[start]
            at = found[start][0][1]


@cache
def _searches() -> tuple[tuple[str, ...], tuple[_Search, ...]]:
    """The words of the file, and how they are found."""
    spellings = _read()
    found: list[_Search] = []
    for when, company in _COMPANY.items():
        some = [spelling for of_word in spellings.values() for spelling in of_word[when]]
        triggers = frozenset().union(*(one.first for one in some))
        groups = ("|".join(one.pattern for one in of_word[when]) or _NEVER for of_word in spellings.values())
        either = "(?:" + "|".join(f"({group})" for group in groups) + ")"
        found += [_Search(when in _DISGUISES, triggers, re.compile(around.replace("{}", either))) for around in company]
    return tuple(spellings), tuple(found)


def _read() -> Mapping[str, Mapping[str, list[_Spelling]]]:
    """The spellings of the file, by word and by when they count."""
    spellings: dict[str, dict[str, list[_Spelling]]] = {}
    for line in FILE.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            word, when, spelling = line.split("\t")
            spellings.setdefault(word, {when: [] for when in _COMPANY})[when].append(_spelling(spelling))
    return spellings


def _spelling(written: str) -> _Spelling:
    """A spelling that tolerates junk between its characters; one of Latin letters must stand alone."""
    places = re.findall(r"\[[^]]+\]|\S", written)
    shape = f"{JUNK}{{0,3}}".join(place if len(place) > 1 else re.escape(place) for place in places)
    first, last = (frozenset(places[end].strip("[]")) for end in (0, -1))
    before = r"(?<![a-z0-9])(?<![a-z0-9] )" if any(map(_is_latin, first)) else ""
    after = r"(?![a-z])" if any(map(_is_latin, last)) else ""
    return _Spelling(first, f"{before}{shape}{after}")


def _is_latin(character: str) -> bool:
    return "a" <= character <= "z"

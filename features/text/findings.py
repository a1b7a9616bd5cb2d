"""What is found in a note's title and body: stretches of the original text, each with a stable code and its wording."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from math import log2
from typing import Final, Literal, NamedTuple, TypeAlias

from features.text.aligned import Span
from features.text.lexicons import Lexicons
from features.text.normalise import normalise
from features.text.patterns import (
    EMAIL,
    EMOJI,
    HASHTAG,
    LINK,
    PHONE,
    PRICE,
    QQ,
    REPEATED_CHARACTER,
    REPEATED_PHRASE,
    WECHAT,
)
from features.text.segment import segment
from features.wording import Text

Field: TypeAlias = Literal["title", "body"]

TITLE_ONLY: Final = frozenset({"hook"})
"""What is ordinary in a body and so is found in titles alone."""

EMOJI_MANY: Final = 6
EMOJI_DENSE: Final = 0.2
"""Emoji a character."""
HASHTAG_MANY: Final = 10
LITTLE_CHARS: Final = 20
LITTLE_BITS: Final = 2.5
"""A character; ordinary Chinese has 5 and more."""

FINDINGS: Final[Mapping[str, Text]] = {
    "phone_number": Text("留有电话号码", "Gives a telephone number"),
    "wechat": Text("留有微信号", "Gives a WeChat id"),
    "qq": Text("留有 QQ 号或群号", "Gives a QQ or group number"),
    "email": Text("留有电子邮箱", "Gives an e-mail address"),
    "contact": Text("引导站外联系", "Asks to get in touch elsewhere"),
    "disguised_contact": Text("用变体写法隐藏联系方式", "Spells a contact word so that it is overlooked"),
    "diversion": Text("引导离开平台", "Leads readers off the platform"),
    "link": Text("含有链接", "Holds a link"),
    "price": Text("写有价格", "States a price"),
    "promotion": Text("含有促销用语", "Uses sales language"),
    "superlative": Text("使用广告法禁用的极限词", "Uses a superlative that advertising law forbids"),
    "guarantee": Text("承诺功效、疗效或收益", "Promises an effect, a cure or a return"),
    "clickbait": Text("使用标题党句式", "Uses a clickbait frame"),
    "hook": Text("标题故弄玄虚", "The title holds something back to be clicked"),
    "repetition": Text("大量重复同样的内容", "Repeats the same over and over"),
    "emoji_dense": Text("表情符号过多", "Is crowded with emoji"),
    "hashtag_dense": Text("话题标签过多", "Is crowded with hashtags"),
    "little_information": Text("文字很多而内容很少", "Says little in many characters"),
}
"""Every code that a finding can have, with the words people read; in the order in which findings are listed."""


class Finding(NamedTuple):
    """What was found, in which field, at which characters of the original text."""

    code: str
    field: Field
    span: Span


class ReadText:
    """One field of a note, read once: normalised, cut into words, and searched.

    ``cut`` is how text becomes words: ``segment``, unless segmenters are being compared.
    """

    def __init__(self, original: str, lexicons: Lexicons, *, cut: Callable[[str], list[str]] = segment) -> None:
        self.original = original
        self.normalised = normalise(original)
        self._lexicons = lexicons
        self._cut = cut

    @cached_property
    def words(self) -> list[str]:
        """The words in order, without marks; what holds marks (t.cn) is several words, as for jieba itself."""
        return _WORD.findall(" ".join(self._cut(self.normalised.text)))

    @cached_property
    def spans(self) -> Mapping[str, Sequence[Span]]:
        """By code, the stretches of the original that a pattern or a lexicon found."""
        plain = self.normalised
        found = {code: _matches(pattern, plain.text) for code, pattern in _PATTERNS.items()}
        found |= {name: lexicon.find(plain.text) for name, lexicon in self._lexicons.by_name.items()}
        spans: dict[str, Sequence[Span]] = {
            code: [plain.original_span(*span) for span in some] for code, some in found.items()
        }
        spans["disguised_contact"] = sorted(plain.disguised)
        return spans

    @cached_property
    def emoji(self) -> list[Span]:
        """Where emoji stand in the original."""
        return _matches(EMOJI, self.original)

    @cached_property
    def repeated_share(self) -> float:
        """Share of the four-character stretches that had stood before, 0 to 1."""
        text = self.normalised.text
        n = len(text) - 3
        return 1 - len({text[place : place + 4] for place in range(n)}) / n if n > 0 else 0.0

    @cached_property
    def characters(self) -> Counter[str]:
        """How often each character stands in the normalised text."""
        return Counter(self.normalised.text)

    @cached_property
    def entropy_bits(self) -> float:
        """Entropy of the normalised characters, in bits a character."""
        n = len(self.normalised.text)
        return sum(count / n * log2(n / count) for count in self.characters.values())

    @cached_property
    def crowding(self) -> Mapping[str, Sequence[Span]]:
        """By code, what the amount of something tells; the span is of the repeats, or else of the whole field."""
        whole = [Span(0, len(self.original))]
        tests: dict[str, bool] = {
            "emoji_dense": len(self.emoji) >= max(EMOJI_MANY, EMOJI_DENSE * len(self.original)),
            "hashtag_dense": len(self.spans["hashtag"]) >= HASHTAG_MANY,
            "little_information": len(self.original) >= LITTLE_CHARS and self.entropy_bits < LITTLE_BITS,
        }
        return {"repetition": self._repeats(), **{code: whole for code, so in tests.items() if so}}

    def _repeats(self) -> list[Span]:
        characters = _matches(REPEATED_CHARACTER, self.original)
        if characters or self.repeated_share < 0.3:
            return characters
        phrases = _matches(REPEATED_PHRASE, self.normalised.text)
        return [self.normalised.original_span(*span) for span in phrases]


_WORD: Final = re.compile(r"[^\W_]+")
_PATTERNS: Final[Mapping[str, re.Pattern[str]]] = {
    "phone_number": PHONE,
    "wechat": WECHAT,
    "qq": QQ,
    "email": EMAIL,
    "link": LINK,
    "price": PRICE,
    "hashtag": HASHTAG,
}


def _matches(pattern: re.Pattern[str], text: str) -> list[Span]:
    return [Span(*match.span()) for match in pattern.finditer(text)]


def findings(field: Field, read: ReadText) -> list[Finding]:
    """What is found in one field, by code in the order of ``FINDINGS``, then by place."""
    found = {**read.spans, **read.crowding}
    codes = [code for code in FINDINGS if field == "title" or code not in TITLE_ONLY]
    return [Finding(code, field, span) for code in codes for span in found.get(code, ())]

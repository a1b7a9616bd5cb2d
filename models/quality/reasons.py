"""Why a note was scored as it was, in words: the labels that it was flagged for, and what was found where."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from features.text.findings import FINDINGS, Field, Finding
from features.wording import Text
from models.quality.settings import Label

MAX_PLACES: Final = 5
"""How many places are named for one code: the first."""

LABEL_TEXTS: Final[Mapping[str, Text]] = {
    "spam": Text("广告引流", "advertising that leads away"),
    "abuse": Text("辱骂攻击", "abuse"),
    "clickbait": Text("标题党", "clickbait"),
    "misinformation": Text("不实信息", "misinformation"),
    "low_information": Text("低信息量", "little information"),
}
"""What known labels are called; others go by their name."""


class NoteReason(NamedTuple):
    """A reason; where it was found at a place, the field and the characters ``start`` to ``end`` (exclusive) of it."""

    code: str
    text: Text
    field: Field | None = None
    start: int | None = None
    end: int | None = None


def note_reasons(flagged: Iterable[tuple[Label, float]], findings: Sequence[Finding]) -> list[NoteReason]:
    """A reason for each flagged label (with its probability), then for each finding."""
    return [*(_of_label(label, probability) for label, probability in flagged), *_of_findings(findings)]


def _of_label(label: Label, probability: float) -> NoteReason:
    called = LABEL_TEXTS.get(label.name, Text(label.name, label.name))
    shares = f"{probability:.0%}", f"{label.threshold:.0%}"
    zh = "“{}”的概率为 {}，达到阈值 {}".format(called.zh, *shares)
    en = "The probability of {} is {} and reaches the threshold of {}".format(called.en, *shares)
    return NoteReason(f"label_{label.name}", Text(zh, en))


def _of_findings(findings: Sequence[Finding]) -> Iterator[NoteReason]:
    n_named = Counter[str]()
    for code, field, span in findings:
        n_named[code] += 1
        if n_named[code] <= MAX_PLACES:
            yield NoteReason(code, FINDINGS[code], field, span.start, span.end)

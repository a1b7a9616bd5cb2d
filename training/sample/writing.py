"""Titles and bodies of sample notes: text that follows from a note's topic, quality and harms."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from training.sample.notes import HARMS, Notes
from training.sample.phrases import Phrasebook, Topic

T = TypeVar("T")

DRAWS_A_NOTE = 96  # more than the longest note uses
PLAIN_CONTACT_SHARE = 0.85  # the other diverting notes only hint
ASIDE_SHARE = 0.25
HASHTAG_SHARE = 0.3
EMOJI_SHARE = 0.35


@dataclass(frozen=True)
class Text:
    """What a reader sees of a note."""

    title: str
    body: str
    topics: tuple[str, ...]
    category: str


class Dice:
    """Choices from a fixed run of uniform draws, so that one note's text never shifts another's."""

    def __init__(self, draws: Sequence[float]) -> None:
        self._draws: Iterator[float] = iter(draws)

    def chance(self, share: float) -> bool:
        return next(self._draws) < share

    def pick(self, choices: Sequence[T]) -> T:
        return choices[int(next(self._draws) * len(choices))]

    def some(self, choices: Sequence[T], n: int) -> list[T]:
        """Up to ``n`` different choices, in random order."""
        left = list(choices)
        return [left.pop(int(next(self._draws) * len(left))) for _ in range(min(n, len(left)))]

    def between(self, low: int, high: int) -> int:
        return low + int(next(self._draws) * (high - low + 1))


def write_texts(rng: np.random.Generator, notes: Notes, book: Phrasebook) -> list[Text]:
    """The text of each note, in the order of ``notes``."""
    draws = rng.random((len(notes.number), DRAWS_A_NOTE))
    harms = [dict(zip(HARMS, flags, strict=True)) for flags in notes.harms.tolist()]
    rows = zip(notes.topic.tolist(), notes.quality.tolist(), harms, draws.tolist(), strict=True)
    return [_write(Dice(line), book, topic=topic, quality=quality, harms=flags) for topic, quality, flags, line in rows]


def _write(dice: Dice, book: Phrasebook, *, topic: int, quality: float, harms: Mapping[str, bool]) -> Text:
    about, common = book.topics[topic], book.common
    words = _words(dice, about, common)
    title = _title(dice, about, common, harms).format_map(words)
    body = "\n".join(_body(dice, about, common, harms=harms, quality=quality)).format_map(words)
    tags = [about.name, *dice.some([words["thing"], words["people"], about.category], dice.between(0, 2))]
    if dice.chance(HASHTAG_SHARE) and not harms["low_information"]:
        body += "\n" + " ".join(f"#{tag}" for tag in tags)
    return Text(title=title, body=body, topics=tuple(tags), category=about.category)


def _words(dice: Dice, topic: Topic, common: Mapping[str, Any]) -> dict[str, str]:
    spam = common["spam"]
    words = {name: str(dice.between(low, high)) for name, (low, high) in common["numbers"].items()}
    words |= {"thing": dice.pick(topic.things), "people": dice.pick(topic.people)}
    words |= {"city": dice.pick(common["words"]["city"]), "tail": str(dice.between(1000, 9999))}
    words |= {"add": dice.pick(spam["add"]), "contact": dice.pick(spam["contact"])}
    return words | {"handle": dice.pick(spam["handle"]).format_map(words)}


def _title(dice: Dice, topic: Topic, common: Mapping[str, Any], harms: Mapping[str, bool]) -> str:
    """A harmful note often hides behind an ordinary title: spam and abuse keep one in half the cases."""
    for harm, share in (("clickbait", 1.0), ("low_information", 0.8), ("spam", 0.5), ("abuse", 0.5)):
        if harms[harm] and dice.chance(share):
            return str(dice.pick(common[harm]["titles"]))
    title = f"{dice.pick(common['prefixes'])}{dice.pick(topic.titles)}{dice.pick(common['suffixes'])}"
    return title + (dice.pick(topic.emoji) if dice.chance(EMOJI_SHARE) else "")


def _body(
    dice: Dice, topic: Topic, common: Mapping[str, Any], *, harms: Mapping[str, bool], quality: float
) -> Iterator[str]:
    if harms["low_information"]:
        yield from dice.some(common["low_information"]["bodies"], dice.between(1, 2))
    elif harms["clickbait"]:
        yield from dice.some(common["clickbait"]["bodies"], dice.between(2, 4))
    else:
        yield from _useful(dice, topic, common, quality)
    if harms["abuse"]:
        yield from dice.some(common["abuse"]["bodies"], dice.between(1, 2))
    if harms["spam"]:
        yield dice.pick(common["spam"]["bodies"]) + _diversion(dice, common)


def _diversion(dice: Dice, common: Mapping[str, Any]) -> str:
    spam = common["spam"]
    return str(dice.pick(spam["plain"] if dice.chance(PLAIN_CONTACT_SHARE) else spam["oblique"]))


def _useful(dice: Dice, topic: Topic, common: Mapping[str, Any], quality: float) -> Iterator[str]:
    """An ordinary note: the better it is, the more it tells."""
    yield dice.pick(topic.openings)
    n_details = min(len(topic.details), max(1, round(6 * quality + dice.between(-1, 1))))
    details = dice.some(topic.details, n_details)
    yield "".join(details[:2])
    yield from details[2:]
    if dice.chance(ASIDE_SHARE):
        yield dice.pick(common["asides"])
    if quality > 0.5 or dice.chance(0.2):
        bullet, tips = dice.pick(common["bullets"]), dice.some(topic.tips, dice.between(2, 4))
        yield dice.pick(common["middles"])
        yield from (bullet.replace("1", str(place)) + tip for place, tip in enumerate(tips, 1))
    yield dice.pick(common["closings"]) + (dice.pick(common["emoji"]) if dice.chance(EMOJI_SHARE) else "")

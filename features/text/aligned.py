"""Text that remembers which characters of the original it was made from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self, TypeAlias
from unicodedata import category


class Span(NamedTuple):
    """Characters ``start`` to ``end`` (exclusive) of a text."""

    start: int
    end: int


Edit: TypeAlias = tuple[int, int, str]
"""Put the string in place of the characters from start to end (exclusive)."""


@dataclass(frozen=True, slots=True)
class Normalised:
    """A text made from an original: character ``i`` came of the original's ``starts[i]`` to ``ends[i]`` (exclusive).

    Both rise (never fall) from one character to the next. ``disguised`` are the stretches of the original that spelled
    a contact word in a way made to be overlooked, in the order they were found.
    """

    text: str
    starts: Sequence[int]
    ends: Sequence[int]
    original_chars: int
    disguised: tuple[Span, ...] = ()

    @classmethod
    def of(cls, original: str, folded: Sequence[str]) -> Self:
        """The text in which each character of the original has become a string, maybe empty.

        A combining mark or variation selector that became nothing belongs to the character before it.
        """
        starts = [place for place, new in enumerate(folded) for _ in new]
        ends = [place + 1 for place in starts]
        text = "".join(folded)
        if len(ends) < len(original):
            ends = [_end_of_marks(original, folded, end) for end in ends]
        return cls(text, starts, ends, len(original))

    def original_span(self, start: int, end: int) -> Span:
        """The stretch of the original that became characters ``start`` to ``end`` (exclusive) of this text.

        It runs from the first to the last character that took part, with what was dropped between them; an empty
        stretch gives an empty span. IndexError if the stretch is not within this text.
        """
        if not 0 <= start <= end <= len(self.text):
            raise IndexError(f"no stretch {start} to {end} in a text of {len(self.text)} characters")
        if start == end:
            place = self.starts[start] if start < len(self.text) else self.original_chars
            return Span(place, place)
        return Span(self.starts[start], self.ends[end - 1])

    def edited(self, edits: Iterable[Edit], *, disguised: Sequence[Span] = ()) -> "Normalised":
        """The text with stretches replaced: edits in order, none overlapping another.

        Each character that is put in stands for the whole stretch that it replaces.
        """
        pieces: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        at = 0
        for start, end, new in edits:
            pieces += self.text[at:start], new
            starts += self.starts[at:start]
            ends += self.ends[at:start]
            starts += [self.starts[start]] * len(new)
            ends += [self.ends[end - 1]] * len(new)
            at = end
        if not pieces:
            return self
        text = "".join((*pieces, self.text[at:]))
        starts += self.starts[at:]
        ends += self.ends[at:]
        return Normalised(text, starts, ends, self.original_chars, (*self.disguised, *disguised))


def _end_of_marks(original: str, folded: Sequence[str], place: int) -> int:
    while place < len(original) and not folded[place] and category(original[place]) in {"Mn", "Me"}:
        place += 1
    return place

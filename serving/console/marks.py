"""Marks in a note's own text: where reasons were found, as pieces of it that a page shows one after another."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from models.quality.reasons import NoteReason


class Piece(NamedTuple):
    """A part of a text, and the reasons that were found there; none for most."""

    text: str
    reasons: Sequence[NoteReason]


def pieces(text: str, field: str, reasons: Sequence[NoteReason]) -> list[Piece]:
    """A field's text cut wherever a reason begins or ends; put together they are the text."""
    here = [one for one in reasons if one.field == field and one.start is not None and one.end is not None]
    ends = {0, len(text)}
    for one in here:
        ends |= {min(one.start or 0, len(text)), min(one.end or 0, len(text))}
    cuts = sorted(ends)
    return [
        Piece(text[start:end], [one for one in here if (one.start or 0) < end and (one.end or 0) > start])
        for start, end in pairwise(cuts)
    ]

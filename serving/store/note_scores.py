"""The latest scores of the stored notes: what lists are made of."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol, TypeAlias

Sort: TypeAlias = Literal["quality", "probability", "known_since"]


class NoteRun(NamedTuple):
    """The scoring of notes by one model as of one instant."""

    as_of: int
    version: str
    digest: str


class ScoredLabel(NamedTuple):
    """What a model said of a label."""

    label: str
    kind: str
    probability: float
    threshold: float
    flagged: bool


class NewNoteScore(NamedTuple):
    """A note's scores; its quality is None, and it has no labels, where it has no text."""

    note_id: str
    revision: int
    author_id: str | None
    category: str | None
    known_since: int
    quality: float | None
    decision: str
    labels: Sequence[ScoredLabel]


class ListedNote(NamedTuple):
    """A note's latest scores, with the run they are of."""

    note_id: str
    revision: int
    author_id: str | None
    category: str | None
    known_since: int
    quality: float
    decision: str
    run: NoteRun
    labels: Sequence[ScoredLabel]


class NoteQuery(NamedTuple):
    """Which scores, in which order; a bound holds where it is given.

    ``sort`` by ``probability``, and the bounds of probability and ``flagged``, are of ``label``. Both bounds of a
    range are included, but ``before`` is not.
    """

    sort: Sort
    descending: bool = True
    label: str | None = None
    min_probability: float | None = None
    max_probability: float | None = None
    flagged: bool | None = None
    decision: str | None = None
    min_quality: float | None = None
    max_quality: float | None = None
    category: str | None = None
    author_id: str | None = None
    since: int | None = None
    before: int | None = None


Position: TypeAlias = tuple[float, str]
"""A place in a list: what it is sorted by, and a note id."""


class NotePage(NamedTuple):
    """Some notes in order, and the position to go on from; None at the end.

    A page may hold less than was asked for, even nothing, and not be the last.
    """

    notes: Sequence[ListedNote]
    reached: Position | None


class NoteScoreStore(Protocol):
    """Scores by note. Every method raises StoreError when the store can't do it now.

    They go when their note does (see ``NoteStore``).
    """

    async def put_many(self, run: NoteRun, scores: Sequence[NewNoteScore]) -> None:
        """Keep these notes' scores, but for notes that are not stored or have scores as of a later instant.

        A note without a quality has none from then on.
        """
        ...

    async def page(self, query: NoteQuery, *, after: Position | None, limit: int) -> NotePage:
        """Up to ``limit`` notes after a position.

        Going on from page to page meets every note that does not change meanwhile exactly once. It takes about as long
        whatever is asked: a page ends early where matches are rare.
        """
        ...

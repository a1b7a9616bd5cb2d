"""Lists of notes by their latest scores: which deserve reach, which need eyes."""

from typing import NamedTuple

from serving.cursor import BY_RANK, read_cursor, write_cursor
from serving.errors import FieldProblem, InvalidError
from serving.store.note_scores import ListedNote, NoteQuery, NoteScoreStore


class ListedPage(NamedTuple):
    """Notes in order, and where the list goes on; without a cursor it ends."""

    notes: list[ListedNote]
    next_cursor: str | None


class NoteLists:
    """Reads lists."""

    def __init__(self, scores: NoteScoreStore) -> None:
        self._scores = scores

    async def page(self, query: NoteQuery, *, cursor: str | None, limit: int) -> ListedPage:
        """Up to ``limit`` notes from where a cursor points, at first from the top.

        InvalidError for a bad cursor, and for what needs a label without one.
        """
        of_label = query.min_probability, query.max_probability, query.flagged
        if query.label is None and (query.sort == "probability" or any(one is not None for one in of_label)):
            detail = "is needed for probabilities and flags, and to sort by them"
            raise InvalidError(f"label {detail}", errors=[FieldProblem("/query/label", "label_needed", detail)])
        after = read_cursor(query, cursor, BY_RANK) if cursor else None
        notes, reached = await self._scores.page(query, after=after, limit=limit)
        return ListedPage([*notes], write_cursor(query, reached) if reached else None)

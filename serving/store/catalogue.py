"""What a recommender is told of the stored notes: each change in turn, with what the models read in a note."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol


class NoteChange(NamedTuple):
    """A note as it is after a change; all but the first three are of a note that is still stored.

    ``read_by`` names the models that read it, None while none has; ``vector`` is the quantised embedding.
    ``note_hash`` is set once the note is gone: see ``CatalogueStore.hashes``.
    """

    change_no: int
    note_no: int
    note_hash: str | None
    note_id: str | None
    author_id: str | None
    category: str | None
    known_since: int | None
    read_by: str | None
    vector: bytes | None
    quality: float | None
    withheld: bool
    by_koc: bool


class NoteRead(NamedTuple):
    """What models read in a note as it was at a change."""

    note_no: int
    change_no: int
    vector: bytes | None
    quality: float | None
    withheld: bool
    by_koc: bool = False


class Unread(NamedTuple):
    """A note that is to be read, as it is at a change, and how often models failed to read it."""

    note_no: int
    change_no: int
    note_id: str
    n_attempts: int


class Postponed(NamedTuple):
    """A note that models failed to read as it is at a change, so many times, and when it is to be tried again."""

    note_no: int
    change_no: int
    n_attempts: int
    try_at: int


class CatalogueStore(Protocol):
    """Changes of notes in order. Every method raises StoreError when the store can't do it now.

    A note's later change takes the place of the one before: whoever follows sees where each note ends up.
    """

    async def changes(self, after: int, *, limit: int) -> list[NoteChange]:
        """The first ``limit`` changes above a ``change_no``, ascending; a smaller one never appears later."""
        ...

    async def unread(self, read_by: str, *, at: int, limit: int) -> list[Unread]:
        """Up to ``limit`` notes that these models have not read and are to be tried by now.

        Those that none has read come first, and among them those that nobody tried yet, the oldest change first.
        """
        ...

    async def oldest_unread(self) -> int | None:
        """Since when the first of the notes waits that no model has read; None where none waits."""
        ...

    async def postpone(self, notes: Sequence[Postponed]) -> None:
        """Keep that notes could not be read, but for those that have changed since: others come first until then."""
        ...

    async def put_read(self, read_by: str, notes: Sequence[NoteRead]) -> None:
        """Keep what models read in notes, but for notes that have changed since."""
        ...

    async def read_again(self, withheld: Mapping[str, bool]) -> None:
        """Have those stored notes read again of which the catalogue does not say what is given here."""
        ...

    async def hashes(self, note_ids: Sequence[str]) -> list[str]:
        """What the tombstones of these notes are, or would be."""
        ...

"""The notes as they are now: what their authors last published, each found by its near-copies too."""

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple, Protocol

MAX_TITLE_CHARS: Final = 200
MAX_BODY_CHARS: Final = 20_000
"""As written, and once each character is folded to its plain form."""


class Note(NamedTuple):
    """A note as it was put; ``published_at`` in microseconds since 1970 UTC. What is None is unknown."""

    note_id: str
    title: str
    body: str
    author_id: str | None = None
    topics: Sequence[str] = ()
    category: str | None = None
    n_images: int | None = None
    published_at: int | None = None


class StoredNote(NamedTuple):
    """A note with the number of its revision, from 1, and the instants of the first put and of the last change.

    ``digest`` is the SHA-256 of its content; ``signature`` is MinHash's of title and body (``features.similarity``).
    """

    note: Note
    revision: int
    digest: str
    signature: bytes
    stored_at: int
    updated_at: int

    @property
    def known_since(self) -> int:
        """When it was published, or else first put."""
        return self.stored_at if self.note.published_at is None else self.note.published_at


class Alike(NamedTuple):
    """A stored note that resembles another: the Jaccard similarity of their texts, 0 to 1, as signatures tell it."""

    note_id: str
    author_id: str | None
    known_since: int
    similarity: float


class NotesHeld(NamedTuple):
    """What is held of an author: how many notes, the first put and the last change."""

    n_notes: int
    first_at: int
    last_at: int


class NoteStore(Protocol):
    """Notes by id. Every method raises StoreError when the store can't do it now."""

    async def put(self, note: Note, *, signature: bytes, at: int) -> StoredNote | None:
        """Store a note in place of the one before, durably; one with the same content stays as it is.

        None, and nothing is stored, for a note by a user who was erased.
        """
        ...

    async def get_many(self, note_ids: Collection[str]) -> dict[str, StoredNote]:
        """Those of these notes that are stored."""
        ...

    async def delete(self, note_id: str) -> bool:
        """Leave nothing of a note; whether there was one."""
        ...

    async def alike(self, signatures: Sequence[bytes], *, at_least: float, limit: int) -> list[list[Alike]]:
        """Per signature, up to ``limit`` stored notes at least so similar, the most similar first, then the oldest.

        Of many copies of one text, the first that were stored are found. What a put stored is found at once, whichever
        server took it.
        """
        ...

    async def ids(self, after: str, *, limit: int) -> list[str]:
        """The ``limit`` note ids that come after one (first: ``""``), in an order of the store's own."""
        ...

    async def count(self) -> int:
        """How many notes are stored."""
        ...

    async def retire(self, before: int, *, limit: int) -> int:
        """Delete up to ``limit`` notes last changed before an instant; how many."""
        ...

    async def forget_alike(self, *, keep: int, limit: int) -> int:
        """Let near-copies be looked for among the ``keep`` newest notes alone; how many of the others, up to ``limit``,
        this call took out of the index.
        """
        ...

    async def held(self, user_id: str) -> NotesHeld | None:
        """What is held of an author; None where that is nothing."""
        ...

    async def erase(self, user_id: str) -> None:
        """Leave nothing of an author's notes, in bounded steps; erasing again changes nothing."""
        ...

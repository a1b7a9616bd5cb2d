"""The notes in SQL, on SQLite and PostgreSQL alike.

What may hold any character (NUL too, which PostgreSQL's text can't) lies in ``content``, as JSON.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from features.similarity import estimate
from serving.store.database import Database
from serving.store.desk_tables import REVIEWS
from serving.store.note_bands import add_bands, likely_alike, remove_bands
from serving.store.notes import Alike, Note, NotesHeld, StoredNote
from serving.store.sql_catalogue import note_changed, notes_gone
from serving.store.sql_erasures import erased_among
from serving.store.sql_sequence import lock_journal
from serving.store.tables import NOTE_LABELS, NOTE_SCORES, NOTES, WATERMARKS
from serving.workers import MANY_USERS

_INSERTS: Final[dict[str, Callable[..., Any]]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
_CONTENT: Final = ("title", "body", "topics", "n_images")
_C: Final = NOTES.c
_ERASED: Final = 200
"""How many notes one transaction deletes: others that write wait for it."""
_NOT_ALIKE: Final = "notes_not_alike"
"""The watermark: notes up to this number are not in the index of near-copies."""


class SqlNotes:
    """A ``NoteStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, note: Note, *, signature: bytes, at: int) -> StoredNote | None:
        """See ``NoteStore``."""
        return await self._database.write(lambda connection: _put(connection, note, signature, at))

    async def get_many(self, note_ids: Collection[str]) -> dict[str, StoredNote]:
        """See ``NoteStore``."""
        statement = select(NOTES).where(_C.note_id.in_(note_ids))
        rows = await self._database.read(
            lambda connection: connection.execute(statement).all(), many=len(note_ids) >= MANY_USERS
        )
        return {row.note_id: _stored(row) for row in rows}

    async def delete(self, note_id: str) -> bool:
        """See ``NoteStore``."""
        one = select(_C.note_no).where(_C.note_id == note_id)
        return bool(await self._database.write(lambda connection: _delete(connection, one)))

    async def alike(self, signatures: Sequence[bytes], *, at_least: float, limit: int) -> list[list[Alike]]:
        """See ``NoteStore``."""
        found = await self._database.read(lambda connection: _alike(connection, signatures), many=True)
        near = [[one for one in own if one.similarity >= at_least] for own in found]
        return [sorted(own, key=lambda one: (-one.similarity, one.known_since))[:limit] for own in near]

    async def ids(self, after: str, *, limit: int) -> list[str]:
        """See ``NoteStore``."""
        page = select(_C.note_id).where(_C.note_id > after).order_by(_C.note_id).limit(limit)
        return await self._database.read(lambda connection: [*connection.scalars(page)], many=True)

    async def count(self) -> int:
        """See ``NoteStore``."""
        statement = select(func.count()).select_from(NOTES)
        return await self._database.read(lambda connection: connection.execute(statement).scalar_one(), many=True)

    async def retire(self, before: int, *, limit: int) -> int:
        """See ``NoteStore``."""
        old = select(_C.note_no).where(_C.updated_at < before).order_by(_C.updated_at).limit(limit)
        return await self._database.write(lambda connection: _delete(connection, old))

    async def forget_alike(self, *, keep: int, limit: int) -> int:
        """See ``NoteStore``."""
        return await self._database.write(lambda connection: _forget_alike(connection, keep, limit))

    async def held(self, user_id: str) -> NotesHeld | None:
        """See ``NoteStore``."""
        columns = func.count(), func.min(_C.stored_at), func.max(_C.updated_at)
        statement = select(*columns).where(_C.author_id == user_id)
        row = await self._database.read(lambda connection: connection.execute(statement).one(), many=False)
        return NotesHeld._make(row) if row[0] else None

    async def erase(self, user_id: str) -> None:
        """See ``NoteStore``."""
        some = select(_C.note_no).where(_C.author_id == user_id).limit(_ERASED)
        while await self._database.write(lambda connection: _delete(connection, some)):
            pass
        of_others = update(NOTE_SCORES).where(NOTE_SCORES.c.author_id == user_id).values(author_id=None)
        await self._database.write(lambda connection: connection.execute(of_others))  # notes that were theirs once


def _put(connection: Connection, note: Note, signature: bytes, at: int) -> StoredNote | None:
    if note.author_id is not None:
        lock_journal(connection)  # so that no erasure of the author begins meanwhile
        if erased_among(connection, [note.author_id]):
            return None
    row = _row(note, signature)
    known = select(NOTES).where(_C.note_id == note.note_id).with_for_update()
    before = connection.execute(known).one_or_none()
    if before is None:
        new = row | {"revision": 1, "stored_at": at, "updated_at": at}
        adding = _INSERTS[connection.dialect.name](NOTES).values(new).on_conflict_do_nothing().returning(NOTES)
        if added := connection.execute(adding).one_or_none():
            add_bands(connection, added.note_no, signature)
            note_changed(connection, added.note_no, note.note_id, is_new=True)
            return _stored(added)
        before = connection.execute(known).one()  # another server was faster
    if before.digest == row["digest"]:
        return _stored(before)
    changing = update(NOTES).where(_C.note_no == before.note_no).returning(NOTES)
    changed = connection.execute(changing.values(row | {"revision": before.revision + 1, "updated_at": at})).one()
    note_changed(connection, before.note_no, note.note_id, is_new=False)
    if before.signature != signature:
        remove_bands(connection, [(before.note_no, before.signature)])
        add_bands(connection, before.note_no, signature)
    return _stored(changed)


def _delete(connection: Connection, numbers: Select[Any]) -> int:
    """Delete notes with all that is made of them; how many."""
    deleting = delete(NOTES).where(_C.note_no.in_(numbers)).returning(_C.note_no, _C.note_id, _C.signature)
    rows = connection.execute(deleting).all()
    note_ids = [row.note_id for row in rows]
    for table in (NOTE_SCORES, NOTE_LABELS, REVIEWS):
        connection.execute(delete(table).where(table.c.note_id.in_(note_ids)))
    remove_bands(connection, [(row.note_no, row.signature) for row in rows])
    notes_gone(connection, [(row.note_no, row.note_id) for row in rows])
    return len(rows)


def _alike(connection: Connection, signatures: Sequence[bytes]) -> list[list[Alike]]:
    likely = likely_alike(connection, signatures)
    columns = _C.note_no, _C.note_id, _C.author_id, _C.published_at, _C.stored_at, _C.signature
    statement = select(*columns).where(_C.note_no.in_({number for own in likely for number in own}))
    rows = {row.note_no: row for row in connection.execute(statement).all()}
    return [
        [_as_alike(rows[number], signature) for number in own if number in rows]
        for own, signature in zip(likely, signatures, strict=True)
    ]


def _as_alike(row: Any, signature: bytes) -> Alike:
    known_since = row.stored_at if row.published_at is None else row.published_at
    return Alike(row.note_id, row.author_id, known_since, estimate(row.signature, signature))


def _forget_alike(connection: Connection, keep: int, limit: int) -> int:
    forgotten = connection.execute(select(WATERMARKS.c.seq).where(WATERMARKS.c.name == _NOT_ALIKE)).scalar() or 0
    newest = connection.execute(select(func.max(_C.note_no))).scalar() or 0
    old = select(_C.note_no, _C.signature).where(_C.note_no > forgotten, _C.note_no <= newest - keep)
    rows = connection.execute(old.order_by(_C.note_no).limit(limit)).all()
    remove_bands(connection, [(row.note_no, row.signature) for row in rows])
    if rows:
        mark = {"name": _NOT_ALIKE, "seq": rows[-1].note_no}
        marking = _INSERTS[connection.dialect.name](WATERMARKS).values(mark)
        connection.execute(marking.on_conflict_do_update(index_elements=["name"], set_=mark))
    return len(rows)


def _row(note: Note, signature: bytes) -> dict[str, Any]:
    content = json.dumps({name: getattr(note, name) for name in _CONTENT}, ensure_ascii=False)
    beside = {name: getattr(note, name) for name in ("author_id", "category", "published_at")}
    digest = hashlib.sha256(json.dumps([content, *beside.values()]).encode()).hexdigest()
    return {"note_id": note.note_id, **beside, "content": content, "digest": digest, "signature": signature}


def _stored(row: Row[Any]) -> StoredNote:
    content = json.loads(row.content)
    note = Note(row.note_id, author_id=row.author_id, category=row.category, published_at=row.published_at, **content)
    return StoredNote(note, row.revision, row.digest, row.signature, row.stored_at, row.updated_at)

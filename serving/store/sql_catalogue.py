"""Changes of notes in SQL. A note that goes leaves a hash of its id: models that know it show it no more."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Select, bindparam, delete, func, insert, select, update

from serving.store.catalogue import NoteChange, NoteRead, Postponed, Unread
from serving.store.database import Database
from serving.store.sql_salts import salted_hash
from serving.store.tables import CATALOGUE, IS_UNREAD, NOTES, WATERMARKS

_C: Final = CATALOGUE.c
_IS_MINE: Final = WATERMARKS.c.name == "catalogue"
_NEXT: Final = (
    update(WATERMARKS).where(_IS_MINE).values(seq=WATERMARKS.c.seq + bindparam("n")).returning(WATERMARKS.c.seq)
)
_UNTRIED: Final = {"n_attempts": 0, "try_at": 0}
_READ: Final = ("read_by", "vector", "quality", "withheld", "by_koc")
_UNKNOWN: Final = {**dict.fromkeys(_READ), "withheld": False, "by_koc": False, **_UNTRIED}
_KNOWN_SINCE: Final = func.coalesce(NOTES.c.published_at, NOTES.c.stored_at).label("known_since")
_CHANGES: Final = (
    select(
        _C.change_no, _C.note_no, _C.note_hash, NOTES.c.note_id, NOTES.c.author_id, NOTES.c.category,
        _KNOWN_SINCE, _C.read_by, _C.vector, _C.quality, _C.withheld, _C.by_koc,
    )
    .select_from(CATALOGUE.outerjoin(NOTES, NOTES.c.note_no == _C.note_no))
    .where(_C.change_no > bindparam("after"))
    .order_by(_C.change_no)
)  # fmt: skip
_PUT_READ: Final = (
    update(CATALOGUE)
    .where(_C.note_no == bindparam("no"), _C.change_no == bindparam("seen"))
    .values({name: bindparam(f"new_{name}") for name in ("change_no", *_READ)} | _UNTRIED)
)
_POSTPONE: Final = (
    update(CATALOGUE)
    .where(_C.note_no == bindparam("no"), _C.change_no == bindparam("seen"))
    .values(n_attempts=bindparam("n"), try_at=bindparam("at"))
)


class SqlCatalogue:
    """A ``CatalogueStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def changes(self, after: int, *, limit: int) -> list[NoteChange]:
        """See ``CatalogueStore``."""
        page = _CHANGES.limit(limit)
        rows = await self._database.read(lambda there: there.execute(page, {"after": after}).all(), many=limit > 1)
        return [NoteChange._make(row) for row in rows]

    async def unread(self, read_by: str, *, at: int, limit: int) -> list[Unread]:
        """See ``CatalogueStore``."""
        return await self._database.read(lambda there: _unread(there, read_by, at, limit), many=True)

    async def oldest_unread(self) -> int | None:
        """See ``CatalogueStore``."""
        first = select(NOTES.c.updated_at).join_from(CATALOGUE, NOTES, NOTES.c.note_no == _C.note_no).where(IS_UNREAD)
        oldest = first.order_by(_C.try_at, _C.change_no).limit(1)
        return await self._database.read(lambda there: there.scalar(oldest), many=False)

    async def postpone(self, notes: Sequence[Postponed]) -> None:
        """See ``CatalogueStore``."""
        rows = [{"no": one.note_no, "seen": one.change_no, "n": one.n_attempts, "at": one.try_at} for one in notes]
        await self._database.write(lambda connection: connection.execute(_POSTPONE, rows))

    async def put_read(self, read_by: str, notes: Sequence[NoteRead]) -> None:
        """See ``CatalogueStore``."""
        await self._database.write(lambda connection: _put_read(connection, read_by, notes))

    async def read_again(self, withheld: Mapping[str, bool]) -> None:
        """See ``CatalogueStore``."""
        await self._database.write(lambda connection: _read_again(connection, withheld))

    async def hashes(self, note_ids: Sequence[str]) -> list[str]:
        """See ``CatalogueStore``."""
        return await self._database.read(lambda there: [salted_hash(there, one) for one in note_ids], many=True)


def note_changed(connection: Connection, note_no: int, note_id: str, *, is_new: bool) -> None:
    """Tell followers of a note that was put."""
    if is_new:
        connection.execute(delete(CATALOGUE).where(_C.note_hash == salted_hash(connection, note_id)))
    row = {"change_no": _take(connection, 1), **_UNKNOWN}
    changed = connection.execute(update(CATALOGUE).where(_C.note_no == note_no).values(row))
    if not changed.rowcount:
        connection.execute(insert(CATALOGUE), {"note_no": note_no, **row})


def notes_gone(connection: Connection, notes: Collection[tuple[int, str]]) -> None:
    """Tell followers of notes (number, id) that were deleted."""
    if not notes:
        return
    last = _take(connection, len(notes))
    for change_no, (note_no, note_id) in enumerate(notes, last - len(notes) + 1):
        row = {"change_no": change_no, "note_hash": salted_hash(connection, note_id), **_UNKNOWN}
        connection.execute(update(CATALOGUE).where(_C.note_no == note_no).values(row))


def note_withheld(connection: Connection, note_id: str, *, withheld: bool) -> None:
    """Tell followers what a person decided about a note that is stored."""
    numbers = select(NOTES.c.note_no).where(NOTES.c.note_id == note_id)
    row = {"change_no": _take(connection, 1), "withheld": withheld}
    connection.execute(update(CATALOGUE).where(_C.note_no.in_(numbers)).values(row))


def _take(connection: Connection, n: int) -> int:
    """The last of the next ``n`` numbers; nobody else gets any until this transaction ends."""
    last: int = connection.execute(_NEXT, {"n": n}).scalar_one()
    return last


def _unread(connection: Connection, read_by: str, at: int, limit: int) -> list[Unread]:
    by_none = _notes_to_read(at).where(IS_UNREAD).order_by(_C.try_at, _C.change_no)
    by_others = [
        _notes_to_read(at).where(among, _C.note_hash.is_(None))
        for among in (_C.read_by < read_by, _C.read_by > read_by)
    ]
    found: list[Unread] = []
    for page in (by_none, *by_others):
        if len(found) < limit:
            found += [Unread._make(row) for row in connection.execute(page.limit(limit - len(found)))]
    return found


def _notes_to_read(at: int) -> Select[Any]:
    columns = _C.note_no, _C.change_no, NOTES.c.note_id, _C.n_attempts
    return select(*columns).join(NOTES, NOTES.c.note_no == _C.note_no).where(_C.try_at <= at)


def _read_again(connection: Connection, withheld: Mapping[str, bool]) -> None:
    for said in (True, False):
        note_ids = [note_id for note_id, now in withheld.items() if now is not said]
        numbers = select(NOTES.c.note_no).where(NOTES.c.note_id.in_(note_ids))
        of_old = _C.note_no.in_(numbers), _C.withheld == said, _C.read_by.is_not(None)
        connection.execute(update(CATALOGUE).where(*of_old).values(read_by=None))


def _put_read(connection: Connection, read_by: str, notes: Sequence[NoteRead]) -> None:
    last = _take(connection, len(notes))
    rows = [
        {
            "no": one.note_no,
            "seen": one.change_no,
            "new_change_no": change_no,
            "new_read_by": read_by,
            "new_vector": one.vector,
            "new_quality": one.quality,
            "new_withheld": one.withheld,
            "new_by_koc": one.by_koc,
        }
        for change_no, one in enumerate(notes, last - len(notes) + 1)
    ]
    connection.execute(_PUT_READ, rows)

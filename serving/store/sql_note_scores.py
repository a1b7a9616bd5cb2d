"""The scores of notes in SQL, on SQLite and PostgreSQL alike."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Select, delete, insert, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from serving.store.database import Database
from serving.store.note_scores import (
    ListedNote,
    NewNoteScore,
    NotePage,
    NoteQuery,
    NoteRun,
    Position,
    ScoredLabel,
)
from serving.store.tables import NOTE_LABELS, NOTE_SCORES, NOTES

_LOOKED_AT: Final = 5_000
"""How many notes, in the order of the list, one page looks at for those that match."""

_S: Final = NOTE_SCORES.c
_L: Final = NOTE_LABELS.c
_SORTED_BY: Final = {"quality": _S.quality, "known_since": _S.known_since, "probability": _L.probability}
_INSERTS: Final[dict[str, Callable[..., Any]]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


class SqlNoteScores:
    """A ``NoteScoreStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put_many(self, run: NoteRun, scores: Sequence[NewNoteScore]) -> None:
        """See ``NoteScoreStore``."""
        await self._database.write(lambda connection: _put(connection, run, scores))

    async def page(self, query: NoteQuery, *, after: Position | None, limit: int) -> NotePage:
        """See ``NoteScoreStore``."""
        return await self._database.read(lambda connection: _page(connection, query, after, limit), many=True)


def _put(connection: Connection, run: NoteRun, scores: Sequence[NewNoteScore]) -> None:
    note_ids = [one.note_id for one in scores]
    stored = select(NOTES.c.note_id).where(NOTES.c.note_id.in_(note_ids)).order_by(NOTES.c.note_id)
    kept = {*connection.scalars(stored.with_for_update(read=True))}  # nobody deletes them before the scores are there
    later = select(_S.note_id).where(_S.note_id.in_(kept), _S.scored_at > run.as_of)
    replaced = kept - {*connection.scalars(later)}
    for table in (NOTE_LABELS, NOTE_SCORES):
        connection.execute(delete(table).where(table.c.note_id.in_(replaced)))
    new = [one for one in scores if one.note_id in replaced and one.quality is not None]
    beside = {"scored_at": run.as_of, "version": run.version, "digest": run.digest}
    rows = [{name: value for name, value in one._asdict().items() if name != "labels"} | beside for one in new]
    labels = [{"note_id": one.note_id, **label._asdict()} for one in new for label in one.labels]
    for table, added in ((NOTE_SCORES, rows), (NOTE_LABELS, labels)):
        if added:
            connection.execute(insert(table), added)


def _page(connection: Connection, query: NoteQuery, after: Position | None, limit: int) -> NotePage:
    by = _SORTED_BY[query.sort]
    place = tuple_(by, _S.note_id if query.sort != "probability" else _L.note_id)
    order = [column.desc() if query.descending else column.asc() for column in place.clauses]
    within = [*_within(query)]
    if after:
        within.append(place < after if query.descending else place > after)
    looked_at = _joined(select(*place.clauses), query).where(*within).order_by(*order).offset(_LOOKED_AT - 1).limit(1)
    matching = [*_matching(query)]
    last = connection.execute(looked_at).one_or_none() if matching else None
    if last:
        within.append(place >= tuple(last) if query.descending else place <= tuple(last))
    chosen = _joined(select(NOTE_SCORES, by.label("place")), query).where(*within, *matching)
    rows = connection.execute(chosen.order_by(*order).limit(limit + 1)).all()
    notes = _listed(connection, rows[:limit])
    if len(rows) > limit:
        return NotePage(notes, (rows[limit - 1].place, rows[limit - 1].note_id))
    return NotePage(notes, (last[0], last[1]) if last else None)


def _joined(statement: Select[Any], query: NoteQuery) -> Select[Any]:
    """The statement over scores, beside each the label that is asked about."""
    if query.label is None:
        return statement.select_from(NOTE_SCORES)
    same = (_L.note_id == _S.note_id) & (_L.label == query.label)
    return statement.select_from(NOTE_SCORES.join(NOTE_LABELS, same))


def _within(query: NoteQuery) -> Iterator[ColumnElement[bool]]:
    """What the index that gives the order finds."""
    ranges = {"quality": _quality(query), "probability": _probability(query), "known_since": _time(query)}
    yield from ranges[query.sort]
    if query.sort == "quality":
        yield from _equal(query)


def _matching(query: NoteQuery) -> Iterator[ColumnElement[bool]]:
    """What each note has to be looked at for."""
    ranges = {"quality": _quality(query), "probability": _probability(query), "known_since": _time(query)}
    for name, conditions in ranges.items():
        if name != query.sort:
            yield from conditions
    if query.sort != "quality":
        yield from _equal(query)
    if query.flagged is not None:
        yield _L.flagged.is_(query.flagged)


def _quality(query: NoteQuery) -> Iterator[ColumnElement[bool]]:
    if query.min_quality is not None:
        yield _S.quality >= query.min_quality
    if query.max_quality is not None:
        yield _S.quality <= query.max_quality


def _probability(query: NoteQuery) -> Iterator[ColumnElement[bool]]:
    if query.min_probability is not None:
        yield _L.probability >= query.min_probability
    if query.max_probability is not None:
        yield _L.probability <= query.max_probability


def _time(query: NoteQuery) -> Iterator[ColumnElement[bool]]:
    if query.since is not None:
        yield _S.known_since >= query.since
    if query.before is not None:
        yield _S.known_since < query.before


def _equal(query: NoteQuery) -> Iterator[ColumnElement[bool]]:
    for name in ("decision", "author_id", "category"):
        if (value := getattr(query, name)) is not None:
            yield _S[name] == value


def _listed(connection: Connection, rows: Sequence[Row[Any]]) -> list[ListedNote]:
    by_note: dict[str, list[ScoredLabel]] = {row.note_id: [] for row in rows}
    labels = select(NOTE_LABELS).where(_L.note_id.in_(by_note)).order_by(_L.probability.desc(), _L.label)
    for row in connection.execute(labels):
        by_note[row.note_id].append(ScoredLabel._make(getattr(row, name) for name in ScoredLabel._fields))
    return [
        ListedNote(
            row.note_id,
            row.revision,
            row.author_id,
            row.category,
            row.known_since,
            row.quality,
            row.decision,
            NoteRun(row.scored_at, row.version, row.digest),
            by_note[row.note_id],
        )
        for row in rows
    ]

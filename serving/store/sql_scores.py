"""The scores in SQL, on SQLite and PostgreSQL alike."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Select, case, delete, exists, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from serving.store.database import Database
from serving.store.desk_tables import USER_SEGMENTS
from serving.store.scores import NewScore, Position, Score, ScorePage, ScoreQuery, ScoreRun
from serving.store.sql_erasures import erased_among
from serving.store.tables import SCORE_RUNS, SCORES, WATERMARKS

LOOKED_AT: Final = 2_000
"""How many scores, in the order of risk, one page looks at for those that were active or changed when asked."""

_C: Final = SCORES.c
_S: Final = USER_SEGMENTS.c
_ORDER: Final = (_C.probability.desc(), _C.user_id.desc())
_CHOSEN: Final[Select[Any]] = select(
    _C.user_id, _C.horizon_days, _C.status, _C.probability, _C.last_active_at, _C.changed_at, _C.run_id
)
_NEWEST_RUN: Final = select(SCORE_RUNS).order_by(SCORE_RUNS.c.as_of.desc(), SCORE_RUNS.c.run_id.desc()).limit(1)


def _upsert(insert: Callable[..., Any]) -> Any:
    adding = insert(SCORES)
    new = adding.excluded
    same = (_C.status == new.status) & _C.probability.is_not_distinct_from(new.probability)
    values = {name: new[name] for name in ("status", "probability", "last_active_at", "as_of", "run_id")}
    values["changed_at"] = case((same, _C.changed_at), else_=new.changed_at)
    return adding.on_conflict_do_update(
        index_elements=[_C.user_id, _C.horizon_days], set_=values, where=_C.as_of <= new.as_of
    )


_INSERTS: Final[dict[str, Callable[..., Any]]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
_UPSERTS: Final = {dialect: _upsert(insert) for dialect, insert in _INSERTS.items()}


class SqlScores:
    """A ``ScoreStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put_many(self, run: ScoreRun, scores: Sequence[NewScore]) -> None:
        """See ``ScoreStore``."""
        if scores:
            await self._database.write(lambda connection: _put(connection, run, scores))

    async def newest_run(self) -> ScoreRun | None:
        """See ``ScoreStore``."""
        row = await self._database.read(lambda connection: connection.execute(_NEWEST_RUN).one_or_none(), many=False)
        return _run(row) if row else None

    async def page(self, query: ScoreQuery, *, after: Position | None, limit: int) -> ScorePage:
        """See ``ScoreStore``."""
        return await self._database.read(lambda connection: _page(connection, query, after, limit), many=True)

    async def latest(self, user_ids: Sequence[str], *, horizon_days: int) -> dict[str, float | None]:
        """See ``ScoreStore``."""
        statement = select(_C.user_id, _C.probability).where(_C.user_id.in_(user_ids), _C.horizon_days == horizon_days)
        rows = await self._database.read(lambda connection: connection.execute(statement).all(), many=True)
        return {row.user_id: row.probability for row in rows}

    async def held(self, user_id: str) -> list[Score] | None:
        """See ``ScoreStore``."""
        statement = _CHOSEN.where(_C.user_id == user_id).order_by(_C.horizon_days)
        return await self._database.read(lambda connection: _scores(connection, statement), many=False) or None

    async def erase(self, user_id: str) -> None:
        """See ``ScoreStore``."""
        await self._database.write(lambda connection: _erase(connection, user_id))


def _lock(connection: Connection) -> None:
    """Take turns: a put that has not seen a user's tombstone has ended before the user's scores are erased."""
    connection.execute(select(WATERMARKS.c.seq).where(WATERMARKS.c.name == "scores").with_for_update())


def _erase(connection: Connection, user_id: str) -> None:
    _lock(connection)
    connection.execute(delete(SCORES).where(_C.user_id == user_id))


def _put(connection: Connection, run: ScoreRun, scores: Sequence[NewScore]) -> None:
    _lock(connection)
    erased = erased_among(connection, [one.user_id for one in scores])
    run_id = _run_id(connection, run)
    rows = [
        {
            "user_id": one.user_id,
            "horizon_days": days,
            "status": one.status,
            "probability": probability,
            "last_active_at": one.last_active_at,
            "changed_at": run.as_of,
            "as_of": run.as_of,
            "run_id": run_id,
        }
        for one in scores
        if one.user_id not in erased
        for days, probability in zip(run.thresholds, one.probabilities, strict=True)
    ]
    rows.sort(key=_place)
    if rows:
        connection.execute(_UPSERTS[connection.dialect.name], rows)


def _place(row: dict[str, Any]) -> tuple[int, float]:
    """Where a row goes in the index: a block that is written in its order takes a quarter less time."""
    return row["horizon_days"], row["probability"] or 0


def _run_id(connection: Connection, run: ScoreRun) -> int:
    """The number of a run, which gets one the first time."""
    row = {**run._asdict(), "thresholds": json.dumps(run.thresholds)}
    connection.execute(_INSERTS[connection.dialect.name](SCORE_RUNS).values(row).on_conflict_do_nothing())
    same = (SCORE_RUNS.c[name] == row[name] for name in ("as_of", "digest", "version"))
    run_id: int = connection.execute(select(SCORE_RUNS.c.run_id).where(*same)).scalar_one()
    return run_id


def _run(row: Row[Any]) -> ScoreRun:
    thresholds = {int(days): threshold for days, threshold in json.loads(row.thresholds).items()}
    return ScoreRun(row.as_of, row.version, row.digest, thresholds)


def _page(connection: Connection, query: ScoreQuery, after: Position | None, limit: int) -> ScorePage:
    matching = list(_matching(query))
    last = _last_looked_at(connection, query, after) if matching else None
    found = _CHOSEN.where(*_between(query, after, last), *matching).order_by(*_ORDER).limit(limit + 1)
    scores = _scores(connection, found)
    if len(scores) > limit:
        return ScorePage(scores[:limit], (scores[limit - 1].probability, scores[limit - 1].user_id))
    return ScorePage(scores, last)


def _last_looked_at(connection: Connection, query: ScoreQuery, after: Position | None) -> Position | None:
    """Where a page stops looking; None if it gets to the end."""
    places = select(_C.probability, _C.user_id).where(*_between(query, after, None)).order_by(*_ORDER)
    last = connection.execute(places.offset(LOOKED_AT - 1).limit(1)).one_or_none()
    return (last.probability, last.user_id) if last else None


def _between(query: ScoreQuery, after: Position | None, last: Position | None) -> Iterator[ColumnElement[bool]]:
    """One stretch of the index: from behind a place, or the query's upper bound, to a place, or its lower bound.

    A place stands in for the bound on its side: with both, a database may go by the bound and so meet all before the
    place again. Who is not scored has no probability, and nor have the others in their list.
    """
    yield _C.horizon_days == query.horizon_days
    yield _C.status == query.status
    match after:
        case None if query.max_probability is not None:
            yield _C.probability <= query.max_probability
        case (None, user_id):
            yield from (_C.probability.is_(None), _C.user_id < user_id)
        case (_, _):
            yield tuple_(_C.probability, _C.user_id) < after
    match last:
        case None if query.min_probability is not None:
            yield _C.probability >= query.min_probability
        case (None, user_id):
            yield from (_C.probability.is_(None), _C.user_id >= user_id)
        case (_, _):
            yield tuple_(_C.probability, _C.user_id) >= last


def _matching(query: ScoreQuery) -> Iterator[ColumnElement[bool]]:
    """What each score has to be looked at for."""
    if query.active_since is not None:
        yield _C.last_active_at >= query.active_since
    if query.active_before is not None:
        yield _C.last_active_at < query.active_before
    if query.changed_since is not None:
        yield _C.changed_at >= query.changed_since
    segment = [column == value for column, value in ((_S.tier, query.tier), (_S.stage, query.stage)) if value]
    if segment:
        yield exists().where(_S.user_id == _C.user_id, *segment).correlate(SCORES)


def _scores(connection: Connection, statement: Select[Any]) -> list[Score]:
    """The scores that a statement finds; it is made of ``_CHOSEN``."""
    rows = connection.execute(statement).all()
    runs = connection.execute(select(SCORE_RUNS).where(SCORE_RUNS.c.run_id.in_({row.run_id for row in rows})))
    by_id = {row.run_id: _run(row) for row in runs}
    return [Score._make((*row[:-1], by_id[row.run_id])) for row in rows]

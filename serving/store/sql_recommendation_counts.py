"""What became of recommendations, counted by quarter of an hour: a report reads the counts, not what is counted.

Whoever changes recommendations, or events that name them, does it in ``recounted``: what it changes is counted before
and after, and the difference is added in the same transaction. So the counts are those of a count of everything, also
after late events, erasures and retention.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Final, get_args

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Insert,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    or_,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

from serving.store.recommendations import By, Rate
from serving.store.tables import FACTS, RECOMMENDATION_COUNTS, RECOMMENDATIONS

QUARTER_US: Final = 900_000_000
_C: Final = RECOMMENDATIONS.c
_N: Final = RECOMMENDATION_COUNTS.c
_KINDS: Final[tuple[By, ...]] = get_args(By)
_NO_EXPOSURE: Final = ("hide", "report")
_NO_CLICK: Final = ("impression", *_NO_EXPOSURE)
_MEASURES: Final = ("n_recommended", "n_exposed", "n_clicked")

_NAMES_IT: Final = and_(FACTS.c.recommendation_id == _C.recommendation_id, FACTS.c.note_id == _C.note_id)
_IS_CLICKED: Final = exists().where(_NAMES_IT, FACTS.c.event.not_in(_NO_CLICK)).correlate(RECOMMENDATIONS)
_IS_EXPOSED: Final = exists().where(_NAMES_IT, FACTS.c.event.not_in(_NO_EXPOSURE)).correlate(RECOMMENDATIONS)
_COUNTED: Final = (
    func.count().label("n_recommended"),
    func.sum(case((_IS_EXPOSED, 1), else_=0)).label("n_exposed"),
    func.sum(case((_IS_CLICKED, 1), else_=0)).label("n_clicked"),
)
_IDS: Final[BindParameter[str]] = bindparam("recommendation_ids", expanding=True)
_QUARTER: Final = _C.recommended_at // QUARTER_US
_OF_FEEDS: Final = (
    select(_QUARTER.label("quarter"), *(_C[kind] for kind in _KINDS), *_COUNTED)
    .where(_C.recommendation_id.in_(_IDS))
    .group_by("quarter", *(_C[kind] for kind in _KINDS))
)
_EMPTY: Final = delete(RECOMMENDATION_COUNTS).where(
    _N.kind.in_(_KINDS), _N.quarter.in_(bindparam("quarters", expanding=True)), _N.n_recommended == 0
)

_Counts = dict[tuple[str, int, str], list[int]]
"""By kind, quarter and name: how many were recommended, exposed, clicked."""


@contextmanager
def recounted(connection: Connection, recommendation_ids: Collection[str]) -> Iterator[None]:
    """Keep the counts level with what the context changes of these recommendations and of events that name them.

    The journal must be locked: nobody else may change either meanwhile.
    """
    if not recommendation_ids:
        yield
        return
    before = _counts(connection, recommendation_ids)
    yield
    after = _counts(connection, recommendation_ids)
    _add(connection, _difference(before, after))


def rates(connection: Connection, by: By, *, since: int, before: int) -> list[Rate]:
    """See ``RecommendationLog.rates``: whole quarters as they are counted, what lies outside of them counted here."""
    first, end = -(-since // QUARTER_US), before // QUARTER_US
    if first >= end:
        counted, rest = {}, and_(_C.recommended_at >= since, _C.recommended_at < before)
    else:
        counted = _whole_quarters(connection, by, first, end)
        rest = or_(
            and_(_C.recommended_at >= since, _C.recommended_at < first * QUARTER_US),
            and_(_C.recommended_at >= end * QUARTER_US, _C.recommended_at < before),
        )
    for name, *numbers in connection.execute(select(_C[by], *_COUNTED).where(rest).group_by(_C[by])):
        counted[name] = [a + b for a, b in zip(counted.get(name, (0, 0, 0)), numbers, strict=True)]
    return [Rate(name, *map(int, counted[name])) for name in sorted(counted)]


def _whole_quarters(connection: Connection, by: By, first: int, end: int) -> dict[str, list[int]]:
    sums = (func.sum(_N[name]) for name in _MEASURES)
    within = _N.kind == by, _N.quarter >= first, _N.quarter < end
    statement = select(_N.name, *sums).where(*within).group_by(_N.name)
    return {name: [*map(int, numbers)] for name, *numbers in connection.execute(statement)}


def _counts(connection: Connection, recommendation_ids: Collection[str]) -> _Counts:
    counts: _Counts = defaultdict(lambda: [0, 0, 0])
    for quarter, *names_and_numbers in connection.execute(_OF_FEEDS, {"recommendation_ids": [*recommendation_ids]}):
        names, numbers = names_and_numbers[: len(_KINDS)], names_and_numbers[len(_KINDS) :]
        for kind, name in zip(_KINDS, names, strict=True):
            counts[kind, quarter, name] = [
                a + int(b) for a, b in zip(counts[kind, quarter, name], numbers, strict=True)
            ]
    return counts


def _difference(before: _Counts, after: _Counts) -> _Counts:
    nothing = [0, 0, 0]
    changes = {
        key: [b - a for a, b in zip(before.get(key, nothing), after.get(key, nothing), strict=True)]
        for key in before | after
    }
    return {key: change for key, change in changes.items() if any(change)}


def _add(connection: Connection, changes: _Counts) -> None:
    rows = [
        {"kind": kind, "quarter": quarter, "name": name, **dict(zip(_MEASURES, numbers, strict=True))}
        for (kind, quarter, name), numbers in sorted(changes.items())
    ]
    if rows:
        connection.execute(_ADDING[connection.dialect.name], rows)
    if shrunk := {quarter for (_, quarter, _), (n_recommended, *_) in changes.items() if n_recommended < 0}:
        connection.execute(_EMPTY, {"quarters": [*shrunk]})


def _adding(made: "sqlite.Insert | postgresql.Insert") -> Insert:
    """An insert that adds to what is there."""
    sums: dict[str, ColumnElement[int]] = {name: _N[name] + made.excluded[name] for name in _MEASURES}
    return made.on_conflict_do_update(index_elements=[_N.kind, _N.quarter, _N.name], set_=sums)


_ADDING: Final = {
    "sqlite": _adding(sqlite.insert(RECOMMENDATION_COUNTS)),
    "postgresql": _adding(postgresql.insert(RECOMMENDATION_COUNTS)),
}

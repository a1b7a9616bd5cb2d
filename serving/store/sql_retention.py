"""What of the journal may go, a page at a time, and its going."""

from itertools import takewhile
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Column,
    ColumnElement,
    Connection,
    ScalarSelect,
    and_,
    bindparam,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)

from features.schema import EVENT_KINDS, IMPRESSION
from features.state import DAY_US, RETAINED_DAYS
from serving.store.journal import Fact, FactType
from serving.store.sql_erasures import erased_among, insert_new
from serving.store.sql_recommendation_counts import recounted
from serving.store.sql_sequence import add_facts, lock_journal
from serving.store.tables import FACTS, WATERMARKS

_LET_GO_US: Final = (RETAINED_DAYS + 1) * DAY_US
"""A state has let go of a day's tallies when its latest event is this much later."""

_OTHER: Final = FACTS.alias("other")
_BEFORE: Final[BindParameter[int]] = bindparam("before", type_=BigInteger)
_AFTER: Final[BindParameter[int]] = bindparam("after", type_=BigInteger)
_REACHED: Final[BindParameter[int]] = bindparam("reached", type_=BigInteger)

_IS_IMPRESSION: Final = FACTS.c.event == EVENT_KINDS[IMPRESSION]
_SAME_USER: Final = and_(_OTHER.c.user_id == FACTS.c.user_id, _OTHER.c.type == FACTS.c.type)
_ACTIVITY: Final = _OTHER.c.event != EVENT_KINDS[IMPRESSION]


def _newest(column: Column[Any], *among: ColumnElement[bool]) -> ScalarSelect[Any]:
    """Of the user's newest fact of this type: one look into the index."""
    newest = select(column).where(_SAME_USER, *among).order_by(_OTHER.c.seq.desc()).limit(1)
    return newest.correlate(FACTS).scalar_subquery()


_IS_GONE: Final = and_(FACTS.c.type == FactType.EVENT, _newest(_OTHER.c.received_at) < _BEFORE)
_IS_LET_GO: Final = or_(
    and_(_IS_IMPRESSION, _newest(_OTHER.c.occurred_at) >= FACTS.c.occurred_at + _LET_GO_US),
    and_(
        exists().where(_SAME_USER, _ACTIVITY, _OTHER.c.occurred_at < FACTS.c.occurred_at).correlate(FACTS),
        _newest(_OTHER.c.occurred_at, _ACTIVITY) >= FACTS.c.occurred_at + _LET_GO_US,
    ),
)
_IS_REPLACED: Final = and_(FACTS.c.type == FactType.PROFILE, _newest(_OTHER.c.seq) > FACTS.c.seq)
_ON_PAGE: Final = and_(FACTS.c.seq > _AFTER, FACTS.c.seq <= _REACHED)
_IS_HIDE: Final = func.coalesce(FACTS.c.event, "") == "hide"
"""What a user hid stays hidden until they are gone."""
_MAY_GO: Final = and_(_ON_PAGE, or_(_IS_GONE, and_(~_IS_HIDE, _IS_LET_GO), _IS_REPLACED))

_PAGE: Final = select(FACTS.c.seq, FACTS.c.received_at).where(FACTS.c.seq > _AFTER).order_by(FACTS.c.seq)
_ANY: Final = select(FACTS.c.seq).where(_MAY_GO).limit(1)
_GONE_USERS: Final = select(FACTS.c.user_id).where(_ON_PAGE, _IS_GONE).distinct()
_NAMED: Final = select(FACTS.c.recommendation_id).where(_ON_PAGE, FACTS.c.recommendation_id.is_not(None)).distinct()
_RETIRE: Final = delete(FACTS).where(_MAY_GO)
_IS_NOTE: Final = WATERMARKS.c.name == "retired_before"
RETIRED_BEFORE: Final = select(WATERMARKS.c.seq).where(_IS_NOTE)


def end_of_page(connection: Connection, after: int, *, before: int, limit: int) -> int | None:
    """The ``seq`` of the last of the next ``limit`` facts that were all received before an instant; None at the end."""
    page = connection.execute(_PAGE.limit(limit), {"after": after}).all()
    old = [seq for seq, _ in takewhile(lambda row: row.received_at < before, page)]
    return old[-1] if old else None


def has_retirable(connection: Connection, after: int, reached: int, *, before: int) -> bool:
    """Whether any fact on a page may go."""
    return connection.execute(_ANY, {"after": after, "reached": reached, "before": before}).first() is not None


def retire(connection: Connection, after: int, reached: int, *, before: int, at: int) -> None:
    """Delete what may go on a page; for a user whose events go, a fact says so: their state is folded anew."""
    last_seq = lock_journal(connection)
    page = {"after": after, "reached": reached, "before": before}
    gone = {*connection.scalars(_GONE_USERS, page)}
    gone -= erased_among(connection, gone)
    with recounted(connection, {*connection.scalars(_NAMED, page)}):
        connection.execute(_RETIRE, page)
    _note(connection, before)
    said_before = and_(FACTS.c.user_id.in_(gone), FACTS.c.type == FactType.RETIRED)
    connection.execute(delete(FACTS).where(said_before))
    add_facts(connection, last_seq, [Fact(FactType.RETIRED, user_id, at, at) for user_id in gone])


def _note(connection: Connection, before: int) -> None:
    """Write down that something received before an instant went: the row holds the latest such instant."""
    connection.execute(insert_new(connection, WATERMARKS), {"name": "retired_before", "seq": before})
    connection.execute(update(WATERMARKS).where(_IS_NOTE, WATERMARKS.c.seq < before).values(seq=before))

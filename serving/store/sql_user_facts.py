"""What the journal holds of one user, and how it is erased, a bounded number of rows at a time."""

import json
from typing import Final

from sqlalchemy import BigInteger, BindParameter, Connection, Text, bindparam, delete, func, select, update

from serving.store.journal import EventsHeld, FactType, JournalHeld
from serving.store.sql_recommendation_counts import recounted
from serving.store.sql_recommending import wishes
from serving.store.sql_sequence import lock_journal
from serving.store.tables import FACTS

_ROWS: Final = 2_000
"""How many rows one transaction erases: others' appends wait for it."""

_USER: Final[BindParameter[str]] = bindparam("user", type_=Text)
_MINE: Final = FACTS.c.user_id == _USER
_OF_OTHERS: Final = FACTS.c.target_user_id == _USER

_PROFILES: Final = select(FACTS.c.body).where(_MINE, FACTS.c.type == FactType.PROFILE).order_by(FACTS.c.seq)
_EVENTS: Final = (
    select(FACTS.c.event, func.count(), func.min(FACTS.c.occurred_at), func.max(FACTS.c.occurred_at))
    .where(_MINE, FACTS.c.type == FactType.EVENT)
    .group_by(FACTS.c.event)
    .order_by(FACTS.c.event)
)
_N_MENTIONS: Final = select(func.count()).where(_OF_OTHERS, FACTS.c.user_id != _USER)


_SOME_OWN: Final = select(FACTS.c.seq, FACTS.c.recommendation_id).where(_MINE).order_by(FACTS.c.seq).limit(_ROWS)
_UP_TO: Final = delete(FACTS).where(_MINE, FACTS.c.seq <= bindparam("reached", type_=BigInteger))
_SOME_MENTIONS: Final = (
    update(FACTS).where(FACTS.c.seq.in_(select(FACTS.c.seq).where(_OF_OTHERS).limit(_ROWS))).values(target_user_id=None)
)


def held_of(connection: Connection, user_id: str) -> JournalHeld | None:
    """See ``Journal.held``."""
    user = {"user": user_id}
    profiles = connection.scalars(_PROFILES, user).all()
    events = [EventsHeld(*row) for row in connection.execute(_EVENTS, user)]
    n_mentions = connection.execute(_N_MENTIONS, user).scalar_one()
    deleted = [*wishes(connection, user_id).deleted_interests]
    if not (profiles or events or n_mentions or deleted):
        return None
    return JournalHeld(json.loads(profiles[-1]) if profiles else None, len(profiles), events, n_mentions, deleted)


def erase_some(connection: Connection, user_id: str) -> int:
    """Delete facts of a user and their mentions in others'; how many rows changed, 0 when none are left."""
    lock_journal(connection)
    user = {"user": user_id}
    some = connection.execute(_SOME_OWN, user).all()
    with recounted(connection, {named for _, named in some if named}):
        if some:
            connection.execute(_UP_TO, {**user, "reached": some[-1].seq})
    return len(some) + connection.execute(_SOME_MENTIONS, user).rowcount

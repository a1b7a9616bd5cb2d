"""What the journal tells a recommender of one user, each a look into an index of its own."""

import json
from typing import Final

from sqlalchemy import BindParameter, Connection, Text, bindparam, select

from serving.store.journal import FactType, NoteEvent, Wishes
from serving.store.tables import FACTS, IS_WISH

_C: Final = FACTS.c
_USER: Final[BindParameter[str]] = bindparam("user", type_=Text)
_NOTE_EVENTS: Final = (
    select(_C.event, _C.note_id, _C.occurred_at)
    .where(_C.user_id == _USER, _C.type == FactType.EVENT, _C.note_id.is_not(None))
    .order_by(_C.seq.desc())
)
_WISHES: Final = (
    select(_C.type, _C.occurred_at, _C.body)
    .where(_C.user_id == _USER, IS_WISH, _C.type.in_((FactType.PROFILE, FactType.INTEREST)))
    .order_by(_C.seq)
)


def note_events(connection: Connection, user_id: str, before: int | None, limit: int) -> list[NoteEvent]:
    """See ``Journal.note_events``."""
    page = _NOTE_EVENTS if before is None else _NOTE_EVENTS.where(_C.occurred_at < before)
    rows = connection.execute(page.limit(limit), {"user": user_id}).all()
    return sorted((NoteEvent._make(row) for row in reversed(rows)), key=lambda one: one.occurred_at)


def wishes(connection: Connection, user_id: str) -> Wishes:
    """See ``Journal.wishes``."""
    opted_out, deleted = False, dict[str, int]()
    for kind, at, body in connection.execute(_WISHES, {"user": user_id}):
        said = json.loads(body or "{}")
        if kind == FactType.PROFILE:
            opted_out = bool(said.get("personalisation_opt_out"))
        else:
            deleted[said["deleted"]] = at
    return Wishes(opted_out, deleted)

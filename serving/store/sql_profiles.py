"""Profiles as the journal takes them: the flags that protect a user end only by an explicit false.

They are kept as a profile is appended, so that the profile in force says all that holds: whoever reads it, folds it,
exports it or retires the ones before it need not know of them.
"""

import json
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import BindParameter, Connection, Text, bindparam, select

from serving.store.journal import Fact, FactType
from serving.store.tables import FACTS, IS_WISH

PROTECTIVE: Final = ("personalisation_opt_out", "is_minor")

_USER: Final[BindParameter[str]] = bindparam("user", type_=Text)
_IN_FORCE: Final = (
    select(FACTS.c.body)
    .where(FACTS.c.user_id == _USER, IS_WISH, FACTS.c.type == FactType.PROFILE)
    .order_by(FACTS.c.seq.desc())
    .limit(1)
)


def with_flags_kept(connection: Connection, facts: Sequence[Fact]) -> list[Fact]:
    """The facts, each profile with the flags of the one before it where it leaves them open."""
    in_force: dict[str, dict[str, Any]] = {}
    return [_kept(connection, one, in_force) if one.type == FactType.PROFILE else one for one in facts]


def _kept(connection: Connection, fact: Fact, in_force: dict[str, dict[str, Any]]) -> Fact:
    """A profile as it is appended; ``in_force`` holds those of this batch."""
    former = in_force.get(fact.user_id) or _profile_in_force(connection, fact.user_id)
    profile = json.loads(fact.body or "{}")
    open_flags = [name for name in PROTECTIVE if profile.get(name) is None and name in former]
    in_force[fact.user_id] = profile | {name: former[name] for name in open_flags}
    return fact._replace(body=json.dumps(in_force[fact.user_id], sort_keys=True))


def _profile_in_force(connection: Connection, user_id: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(connection.execute(_IN_FORCE, {"user": user_id}).scalar() or "{}")
    return said

"""What users hid. Of those who hid much it stays in memory, and an index says what came or went since."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

from sqlalchemy import BigInteger, BindParameter, Connection, Select, Text, bindparam, or_, select

from serving.store.database import Database
from serving.store.journal import Hide
from serving.store.tables import FACTS, IS_HIDE

_FEW: Final = 200
"""How many are read on the event loop."""
_MOST_KEPT: Final = 200_000
"""Hides in memory, of all users together: about 40 MB."""

_C: Final = FACTS.c
_USER: Final[BindParameter[str]] = bindparam("user", type_=Text)
_AFTER: Final[BindParameter[int]] = bindparam("after", type_=BigInteger)
_HIDES: Final = (
    select(_C.seq, _C.note_id, _C.target_user_id)
    .where(_C.user_id == _USER, IS_HIDE, or_(_C.note_id.is_not(None), _C.target_user_id.is_not(None)))
    .order_by(_C.seq)
)
_ABOVE: Final = _HIDES.where(_C.seq > _AFTER)
_FEW_ABOVE: Final = _ABOVE.limit(_FEW)
_FIRST: Final = _HIDES.limit(1)


_Rows: TypeAlias = Select[int, str | None, str | None]


class _Kept(NamedTuple):
    """A user's hides up to a ``seq``; ``first`` is that of the first hide that there was."""

    first: int
    last: int
    hides: Sequence[Hide]


class SqlHides:
    """Reads hides: few at once, many on a thread, and again only those that are new."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._n_kept = 0

    async def of(self, user_id: str) -> Sequence[Hide]:
        """All that a user hid."""
        kept = await self._still_true(user_id)
        after = kept.last if kept else 0
        rows = await self._database.read(lambda there: _read(there, _FEW_ABOVE, user_id, after), many=False)
        if len(rows) == _FEW:
            after = rows[-1][0]
            rows += await self._database.read(lambda there: _read(there, _ABOVE, user_id, after), many=True)
        hides = [*(kept.hides if kept else ()), *(hide for _, hide in rows)]
        if rows and len(hides) >= _FEW:
            self._keep(user_id, _Kept(kept.first if kept else rows[0][0], rows[-1][0], hides))
        return hides

    async def past(self, user_id: str, *, before: int) -> Sequence[Hide]:
        """What a user hid before an instant."""
        asked = _ABOVE.where(_C.occurred_at < before)
        return [hide for _, hide in await self._database.read(lambda there: _read(there, asked, user_id, 0), many=True)]

    def forget(self, user_id: str) -> None:
        """Keep nothing of a user."""
        kept = self._kept.pop(user_id, None)
        self._n_kept -= len(kept.hides) if kept else 0

    async def _still_true(self, user_id: str) -> _Kept | None:
        """What is kept of a user. Hides go all at once, when their user goes: while the first is there, all are."""
        kept = self._kept.get(user_id)
        if kept is None:
            return None
        first = await self._database.read(lambda there: there.execute(_FIRST, {"user": user_id}).scalar(), many=False)
        if first != kept.first:
            self.forget(user_id)
            return None
        if user_id in self._kept:
            self._kept.move_to_end(user_id)
        return kept

    def _keep(self, user_id: str, kept: _Kept) -> None:
        self.forget(user_id)
        self._kept[user_id] = kept
        self._n_kept += len(kept.hides)
        while self._n_kept > _MOST_KEPT:
            self.forget(next(iter(self._kept)))


def _read(connection: Connection, hides: _Rows, user_id: str, after: int) -> list[tuple[int, Hide]]:
    rows = connection.execute(hides, {"user": user_id, "after": after})
    return [(seq, Hide(note_id, author_id)) for seq, note_id, author_id in rows]

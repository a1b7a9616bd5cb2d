"""The journal's sequence: whoever appends or erases holds the one row that has the last ``seq``."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, insert, select, update

from serving.store.journal import Fact
from serving.store.tables import FACTS, WATERMARKS

_IS_JOURNAL: Final = WATERMARKS.c.name == "journal"
LAST_SEQ: Final = select(WATERMARKS.c.seq).where(_IS_JOURNAL)
_LOCKED: Final = LAST_SEQ.with_for_update()


def lock_journal(connection: Connection) -> int:
    """The journal's last ``seq``, which nobody else can move until this transaction ends.

    Without the lock one transaction could be seen before another that took smaller numbers.
    """
    last_seq: int = connection.execute(_LOCKED).scalar_one()
    return last_seq


def add_facts(connection: Connection, last_seq: int, facts: Sequence[Fact]) -> None:
    """Append facts behind the last ``seq``, which must be locked."""
    rows = [{"seq": seq, **fact._asdict()} for seq, fact in enumerate(facts, last_seq + 1)]
    if rows:
        connection.execute(insert(FACTS), rows)
        connection.execute(update(WATERMARKS).where(_IS_JOURNAL).values(seq=rows[-1]["seq"]))

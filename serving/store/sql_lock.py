"""The journal's turn-taking: whoever appends or erases holds the one row that has the last ``seq``."""

from typing import Final

from sqlalchemy import Connection, select

from serving.store.tables import WATERMARKS

IS_JOURNAL: Final = WATERMARKS.c.name == "journal"
LAST_SEQ: Final = select(WATERMARKS.c.seq).where(IS_JOURNAL)
_LOCKED: Final = LAST_SEQ.with_for_update()


def lock_journal(connection: Connection) -> int:
    """The journal's last ``seq``, which nobody else can move until this transaction ends.

    Without the lock one transaction could be seen before another that took smaller numbers.
    """
    last_seq: int = connection.execute(_LOCKED).scalar_one()
    return last_seq

"""Of whom anything is held though they have a tombstone: in a journal restored to before they were erased."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any, Final

from sqlalchemy import Column, Connection, select

from serving.store.database import Database
from serving.store.desk_tables import ASSIGNMENTS, REVIEWS, USER_SEGMENTS
from serving.store.tables import FACTS, NOTE_SCORES, NOTES, RECOMMENDATIONS, SCORES, USER_STATES

USER_COLUMNS: Final[tuple[Column[Any], ...]] = (
    FACTS.c.user_id,
    FACTS.c.target_user_id,
    USER_STATES.c.user_id,
    NOTES.c.author_id,
    NOTE_SCORES.c.author_id,
    REVIEWS.c.author_id,
    RECOMMENDATIONS.c.user_id,
    ASSIGNMENTS.c.user_id,
    SCORES.c.user_id,
    USER_SEGMENTS.c.user_id,
)
"""Every column that holds a user's id."""
_PAGE: Final = 500


async def users_held(database: Database) -> AsyncIterator[list[str]]:
    """Everyone of whom anything is held, page by page, some more than once."""
    for column in USER_COLUMNS:
        after = ""
        while page := await database.read(partial(_page, column=column, after=after), many=True):
            yield page
            after = page[-1]


def _page(connection: Connection, column: Column[Any], after: str) -> list[str]:
    return [*connection.scalars(select(column).distinct().where(column > after).order_by(column).limit(_PAGE))]

"""Writes the journal, and what was recommended, as a dataset in the contract, which every pipeline reads."""

import json
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple

from features.schema import EVENTS, RECOMMENDATIONS, USERS
from serving.dataset_files import TableFile, require_free, staged
from serving.errors import ServingError
from serving.store.journal import Fact, FactType, Journal
from serving.store.recommendations import Recommendation, RecommendationLog

_PAGE: Final = 5_000


class Exported(NamedTuple):
    """How many rows are written of each table."""

    n_events: int
    n_users: int
    n_recommendations: int = 0


async def export_events(
    journal: Journal, log: RecommendationLog, folder: Path, *, since: int, now: int
) -> AsyncIterator[Exported]:
    """Write the events that occurred from ``since`` to ``now``, every profile in force, and what was recommended then;
    what is written so far.

    The folder appears whole, at the end; a page is in memory at a time. A table without rows, which the contract does
    not allow, is left out. ServingError for a folder that is not empty, or where there is nothing to write.
    """
    require_free(folder)
    with staged(folder) as staging:
        with closing(TableFile(staging, EVENTS)) as events, closing(TableFile(staging, USERS)) as users:
            async for facts in _pages(journal):
                occurred = (one for one in facts if one.type == FactType.EVENT and since <= one.occurred_at <= now)
                events.write(one._asdict() for one in occurred)
                users.write(_user(one, now) for one in facts if one.type == FactType.PROFILE)
                yield Exported(events.n_rows, users.n_rows)
        n_events, n_users = events.n_rows, users.n_rows
        with closing(TableFile(staging, RECOMMENDATIONS)) as recommended:
            async for rows in _recommendations(log):
                recommended.write(one._asdict() for one in rows if since <= one.recommended_at <= now)
                yield Exported(n_events, n_users, recommended.n_rows)
        if not any(staging.iterdir()):
            raise ServingError("there is nothing to export")


async def _pages(journal: Journal) -> AsyncIterator[list[Fact]]:
    """Everything in the journal up to where it ends now."""
    end, reached = await journal.last_seq(), 0
    while reached < end and (page := await journal.page(reached, limit=_PAGE)):
        reached = page[-1][0]
        yield [fact for seq, fact in page if seq <= end]


async def _recommendations(log: RecommendationLog) -> AsyncIterator[list[Recommendation]]:
    after = ("", 0)
    while page := await log.page(after, limit=_PAGE):
        after = page[-1].recommendation_id, page[-1].place
        yield page


def _user(fact: Fact, now: int) -> dict[str, Any]:
    """A profile as a row; a registration that lies ahead (clocks differ) is not known yet."""
    profile = {"user_id": fact.user_id, **json.loads(fact.body or "{}")}
    is_past = (profile.get("registered_at") or 0) <= now
    return profile if is_past else {**profile, "registered_at": None}

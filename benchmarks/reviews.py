"""What a reviewer waits for: ``python -m benchmarks.reviews [--reviews N] [--postgres URL]``, in this process.

The queue holds N open reviews of N stored notes. A reviewer decides the one they have and claims the next, with and
without a label asked for: the median and the 99th percentile of both together are printed. Without a PostgreSQL URL the
database is a SQLite file.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, insert

from serving.store.database import Database
from serving.store.desk_tables import REVIEWS
from serving.store.postgres import open_postgres
from serving.store.reviews import After, Claim, Judgement, Outcome, ReviewQuery
from serving.store.sql_reviews import SqlReviews
from serving.store.sqlite_file import open_sqlite
from serving.store.tables import NOTES

N_DECISIONS = 500
LABELS = {"spam": {"kind": "harm", "probability": 0.9, "threshold": 0.5, "flagged": True}}
SPAM = Judgement(Outcome.CONFIRM, "limit", {"spam": 1}, "spam", "")


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--reviews", type=int, default=1_000_000)
    parser.add_argument("--postgres", help="the URL of an empty database")
    options = parser.parse_args()
    asyncio.run(measure(options.reviews, options.postgres))


async def measure(n_reviews: int, url: str | None) -> None:
    """Fill a queue, and work on it."""
    async with opened(url) as database:
        started = time.perf_counter()
        for first in range(0, n_reviews, 10_000):
            await database.write(partial(fill, first=first, end=min(first + 10_000, n_reviews)))
        print(f"{n_reviews:,} open reviews: {time.perf_counter() - started:.0f} s to fill")
        for name, query in (("any", ReviewQuery()), ("of a label", ReviewQuery(label="abuse"))):
            seconds = await work(SqlReviews(database), query)
            p50, p99 = np.percentile(seconds, [50, 99]) * 1e3
            print(f"decide and claim the next ({name}): p50 {p50:.1f} ms, p99 {p99:.1f} ms")


@asynccontextmanager
async def opened(url: str | None) -> AsyncIterator[Database]:
    """The database."""
    if url:
        async with open_postgres(url, timeout_s=60) as postgres:
            yield postgres
    else:
        with tempfile.TemporaryDirectory() as folder:
            async with open_sqlite(Path(folder) / "reviews.db", timeout_s=60) as file:
                yield file


def fill(connection: Connection, first: int, end: int) -> None:
    """Add notes and their reviews."""
    connection.execute(insert(NOTES), [note(number) for number in range(first, end)])
    connection.execute(insert(REVIEWS), [review(number) for number in range(first, end)])


def note(number: int) -> dict[str, Any]:
    """A note as a row."""
    names = {"note_id": f"n{number}", "author_id": f"a{number % 5_000}", "category": "food", "published_at": None}
    content = {"content": json.dumps({"title": "", "body": "x", "topics": [], "n_images": None}), "digest": "d"}
    return names | content | {"revision": 1, "signature": b"", "stored_at": 1, "updated_at": 1}


def review(number: int) -> dict[str, Any]:
    """A review as a row."""
    row: dict[str, Any] = dict.fromkeys(REVIEWS.c.keys())
    row |= dict.fromkeys(("origin", "decision", "rule", "policy_version", "model_version", "model_digest"), "x")
    row |= {"review_id": f"{number:024x}", "note_id": f"n{number}", "revision": 1, "origin": "decision"}
    row |= {"label": "abuse" if number % 50 == 0 else "spam", "labels": json.dumps(LABELS), "state": "open"}
    row |= {"sampled": False, "propensity": 1.0, "n_reports": 0, "priority": float(number % 9_973), "opened_at": 1}
    return row | {"for_lead": False}


async def work(reviews: SqlReviews, query: ReviewQuery) -> list[float]:
    """The seconds between having a review and having the next, again and again."""
    seconds = []
    mine = Claim("lin", is_lead=False, lease="0", at=1, until=1 << 60)
    held = await reviews.claim(mine, query)
    for number in range(N_DECISIONS):
        if held is None:
            raise RuntimeError("the queue is empty")
        following = mine._replace(lease=str(number + 1))
        started = time.perf_counter()
        await reviews.decide(held.review_id, mine, SPAM, revision=1, after=After())
        held = await reviews.claim(following, query)
        seconds.append(time.perf_counter() - started)
        mine = following
    if held:
        await reviews.release(held.review_id, mine)
    return seconds


if __name__ == "__main__":
    main()

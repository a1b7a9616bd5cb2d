"""Writes a synthetic community as a dataset folder, block by block, in bounded memory."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from training.errors import ConfigError
from training.sample import tables
from training.sample.clock import DAY_MS, start_instant
from training.sample.community import Block, live_blocks
from training.sample.notes import judge_notes
from training.sample.phrases import Phrasebook, load_phrasebook
from training.sample.readme import readme
from training.sample.writing import write_texts

BLOCK_USERS = 4096
ROW_GROUP_ROWS = 250_000
DEFAULT_START = date(2026, 1, 1)
SCHEMAS = {
    "events": tables.EVENTS,
    "notes": tables.NOTES,
    "users": tables.USERS,
    "note_labels": tables.NOTE_LABELS,
    "truth/users": tables.TRUE_USERS,
    "truth/notes": tables.TRUE_NOTES,
    "truth/churn": tables.TRUE_CHURN,
}


def generate(
    out: Path,
    *,
    n_users: int,
    n_days: int,
    seed: int,
    start: date = DEFAULT_START,
    progress: Callable[[int, int], None] | None = None,
    block_users: int = BLOCK_USERS,
) -> None:
    """Write the community of ``seed`` to the folder ``out``: events, notes, users, note_labels, truth/, README.md.

    The log covers ``n_days`` local days of Asia/Shanghai from ``start``. The same arguments give the same
    bytes on a platform; the users of one block are the same however many blocks follow. Memory holds one
    block of ``block_users`` users. ``progress`` is called with (users done, users). Files of an earlier run
    are replaced only when all are written. Raises ConfigError for counts below 1 or a negative seed.
    """
    if min(n_users, n_days, block_users) < 1 or seed < 0:
        raise ConfigError(f"expected counts >= 1 and seed >= 0, got {n_users=}, {n_days=}, {block_users=}, {seed=}")
    book = load_phrasebook()
    made_with = {"seed": seed, "n_users": n_users, "n_days": n_days, "start": start}
    facts = {"synthetic": "true", "topics": ",".join(book.topic_names)}
    facts |= {name: str(value) for name, value in made_with.items()}
    blocks = live_blocks(seed, book, n_users=n_users, block_users=block_users, start=start, n_days=n_days)
    n_done = n_events = 0
    with _staged(out) as folder, _writers(folder, facts) as writers:
        for index, block in enumerate(blocks):
            rng = np.random.default_rng([seed, index, 1])  # words and labels: what people do does not hang on them
            for name, table in _tables(rng, block, book, start=start, n_days=n_days, first_event=n_events):
                writers[name].write_table(table)
            n_events += len(block.events.kind)
            n_done += len(block.people)
            if progress is not None:
                progress(n_done, n_users)
        (folder / "README.md").write_text(readme(facts), encoding="utf-8")


def _tables(
    rng: np.random.Generator, block: Block, book: Phrasebook, *, start: date, n_days: int, first_event: int
) -> Iterator[tuple[str, Any]]:
    """The block's part of each file, row group by row group, made one at a time."""
    start_at = start_instant(start)
    for row in range(0, len(block.events.kind), ROW_GROUP_ROWS):
        rows = slice(row, row + ROW_GROUP_ROWS)
        yield "events", tables.events_table(block, start_at, rows=rows, first_event=first_event + row)
    yield "notes", tables.notes_table(block.notes, write_texts(rng, block.notes, book), start_at)
    yield "users", tables.users_table(block.people, start_at)
    yield "note_labels", tables.labels_table(judge_notes(rng, block.notes, until_ms=n_days * DAY_MS), start_at)
    yield "truth/users", tables.true_users_table(block, start_at, n_days=n_days)
    yield "truth/notes", tables.true_notes_table(block.notes, book)
    yield "truth/churn", tables.true_churn_table(block, start_at)


@contextmanager
def _writers(folder: Path, facts: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """A Parquet writer for each file of the dataset, all saying ``facts`` in their metadata."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(pq.ParquetWriter(folder / f"{name}.parquet", schema.with_metadata(facts)))
            for name, schema in SCHEMAS.items()
        }


@contextmanager
def _staged(out: Path) -> Iterator[Path]:
    """A folder to write in, moved over ``out`` file by file on success, removed on failure."""
    folder = out / ".unfinished"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "truth").mkdir(parents=True)
    (out / "truth").mkdir(exist_ok=True)
    try:
        yield folder
        for file in (path for path in sorted(folder.rglob("*")) if path.is_file()):
            file.replace(out / file.relative_to(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)

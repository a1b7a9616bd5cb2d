"""The index that finds near-copies: each note's signature in 32 bands, a row each, in the notes' own database.

Two texts of Jaccard similarity .8 share at least one band all but surely (``features.similarity.bands``). Rows in the
database cost no memory of a server and no time at its start; they change in the transaction that changes the note, and
every server on the database sees them.
"""
# ruff: noqa: S608 (the SQL is made of constants)

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import Connection, bindparam, delete, insert, text

from features.similarity import SIGNATURE, bands
from serving.store.tables import NOTE_BANDS

_FIRST: Final = 16
"""How many notes, the first stored, are looked at of those that share a band: much posted text has thousands."""

_LOOKED_AT: Final = 16
"""How many notes' signatures are compared at most: those that share the most bands."""

_SHARING: Final = {
    "sqlite": text(f"""
        SELECT band, note_no FROM json_each(:keys) AS wanted
        JOIN note_bands ON band = wanted.value AND note_no IN (
            SELECT x.note_no FROM note_bands x WHERE x.band = wanted.value ORDER BY x.note_no LIMIT {_FIRST}
        )
    """),
    # Said as a range, for else the planner sorts all of a band: it takes one for short, and some are long.
    "postgresql": text(f"""
        SELECT found.band, found.note_no FROM json_array_elements_text(CAST(:keys AS json)) AS written
        CROSS JOIN LATERAL (SELECT CAST(written AS bigint) AS value) AS wanted
        CROSS JOIN LATERAL (
            SELECT band, note_no FROM note_bands WHERE band BETWEEN wanted.value AND wanted.value
            ORDER BY band, note_no LIMIT {_FIRST}
        ) AS found
    """),
}
"""The first notes of each band; ``keys`` is a JSON array."""

_REMOVE: Final = delete(NOTE_BANDS).where(
    NOTE_BANDS.c.band == bindparam("key"), NOTE_BANDS.c.note_no == bindparam("no")
)


def band_keys(signature: bytes) -> list[int]:
    """A number for each band of a signature, the same everywhere; none for a text of nothing."""
    return [_key(place, band) for place, band in enumerate(bands(signature))]


def _key(place: int, band: bytes) -> int:
    digest = hashlib.blake2b(band, digest_size=8, key=f"{SIGNATURE}/{place}".encode()).digest()
    return int.from_bytes(digest, "little", signed=True)


def add_bands(connection: Connection, note_no: int, signature: bytes) -> None:
    """Let a note be found."""
    rows = [{"band": key, "note_no": note_no} for key in band_keys(signature)]
    if rows:
        connection.execute(insert(NOTE_BANDS), rows)


def remove_bands(connection: Connection, notes: Iterable[tuple[int, bytes]]) -> None:
    """Let notes (number, signature) not be found any more."""
    rows = [{"key": key, "no": note_no} for note_no, signature in notes for key in band_keys(signature)]
    if rows:
        connection.execute(_REMOVE, rows)


def likely_alike(connection: Connection, signatures: Sequence[bytes]) -> list[list[int]]:
    """Per signature, the numbers of the notes that share the most bands with it."""
    keys = [band_keys(one) for one in signatures]
    wanted = sorted({key for own in keys for key in own})
    sharing: dict[int, list[int]] = {}
    for band, note_no in connection.execute(_SHARING[connection.dialect.name], {"keys": json.dumps(wanted)}):
        sharing.setdefault(band, []).append(note_no)
    counts = [Counter(note_no for key in own for note_no in sharing.get(key, ())) for own in keys]
    return [[note_no for note_no, _ in one.most_common(_LOOKED_AT)] for one in counts]

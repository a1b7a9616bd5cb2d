"""Keeps a live recommender's catalogue level with the stored notes and what models read in them.

Every server follows the changes that any of them made; a new note is in every catalogue within a second of its put.
"""

import asyncio
import logging
from array import array
from collections.abc import Collection
from typing import Final, NamedTuple

from models.recommend.catalogue import UNKNOWN, Catalogue, CatalogueNote
from serving.each import attempt, raise_all
from serving.metrics import Metrics
from serving.note_reading import readers_of
from serving.recommender import RECOMMEND, Recommender
from serving.slots import LiveModel, Slots
from serving.store.catalogue import CatalogueStore, NoteChange

_log = logging.getLogger(__name__)

_PAGE: Final = 5_000


class LiveFeeds(NamedTuple):
    """A recommender with the catalogue whose first notes are its own."""

    model: LiveModel[Recommender]
    catalogue: Catalogue


class Catalogues:
    """The catalogue of the champion; while another is made for a new champion, the old one answers with its own."""

    def __init__(self, slots: Slots, store: CatalogueStore, *, metrics: Metrics) -> None:
        self._slots = slots
        self._store = store
        self._metrics = metrics
        self._live: LiveFeeds | None = None
        self._reached = 0
        self._failures: list[Exception] = []
        self._numbers = array("i")  # by ``note_no``

    @property
    def live(self) -> LiveFeeds | None:
        """What answers; None before the first champion is ready."""
        return self._live

    async def follow(self) -> None:
        """Take in what changed: the champion, and the notes.

        A note that can't be taken in is left out until it changes; why is raised at the end.
        """
        champion = self._slots.champion(RECOMMEND)
        if champion is None:
            return
        if self._live is None or self._live.model.scorer is not champion.scorer:
            await self._open(champion)
        elif self._live.model is not champion:
            self._live = LiveFeeds(champion, self._live.catalogue)
        await self._catch_up(self._live_now())
        failures, self._failures = self._failures, []
        raise_all(failures)

    async def index(self) -> None:
        """Make the graph of a catalogue that has become large."""
        if self._live and self._live.catalogue.wants_graph:
            await asyncio.to_thread(self._live.catalogue.build_graph)

    def _live_now(self) -> LiveFeeds:
        if self._live is None:
            raise RuntimeError("there is no catalogue to follow with")
        return self._live

    async def _open(self, champion: LiveModel[Recommender]) -> None:
        """Make a champion's catalogue whole, then let it answer."""
        live = LiveFeeds(champion, Catalogue(champion.scorer.scorer.note_ids))
        self._reached, self._numbers = 0, array("i")
        await self._catch_up(live)
        self._live = live
        _log.info("catalogue ready", extra={"notes": len(live.catalogue), "version": champion.pointer.version})

    async def _catch_up(self, live: LiveFeeds) -> None:
        """Take in changes up to the last."""
        gone = set[str]()
        while changes := await self._store.changes(self._reached, limit=_PAGE):
            encoder_digest = readers_of(self._slots, live.model.scorer).encoder_digest
            for change in changes:
                outcome = attempt(self._take, live, change, encoder_digest, gone)
                if isinstance(outcome, Exception):
                    self._failures.append(outcome)
            self._reached = changes[-1].change_no
        if gone:
            await self._remove_hashed(live, gone)
        self._metrics.catalogue_notes.set(len(live.catalogue))

    def _take(self, live: LiveFeeds, change: NoteChange, encoder_digest: str, gone: set[str]) -> None:
        """Take in a change; the hash of a note that is gone, and never was in this catalogue by its number, joins
        ``gone``.
        """
        if change.note_hash is None:
            self._put(live, change, encoder_digest)
        elif (number := self._number(change.note_no)) == UNKNOWN:
            gone.add(change.note_hash)
        else:
            live.catalogue.remove(live.catalogue.note_id(number))

    async def _remove_hashed(self, live: LiveFeeds, gone: Collection[str]) -> None:
        """Remove those of the model's notes that were stored once and are gone."""
        note_ids = live.model.scorer.scorer.note_ids
        for start in range(0, len(note_ids), _PAGE):
            page = note_ids[start : start + _PAGE]
            for note_id, note_hash in zip(page, await self._store.hashes(page), strict=True):
                if note_hash in gone:
                    live.catalogue.remove(note_id)

    def _number(self, note_no: int) -> int:
        return self._numbers[note_no] if note_no < len(self._numbers) else UNKNOWN

    def _put(self, live: LiveFeeds, change: NoteChange, encoder_digest: str) -> None:
        is_mine = (change.read_by or "").startswith(f"{encoder_digest}/")
        number = live.catalogue.put(
            CatalogueNote(
                change.note_id or "",
                change.author_id,
                change.category,
                UNKNOWN if change.known_since is None else change.known_since,
                change.vector if is_mine else None,
                change.quality,
                change.withheld,
                change.by_koc,
            )
        )
        if change.note_no >= len(self._numbers):
            self._numbers.extend([UNKNOWN] * (change.note_no + 1 - len(self._numbers)))
        self._numbers[change.note_no] = number

"""The tables of a recommend bundle as bytes: which notes there are, their statistics, factors and neighbours."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from models.bundle import canonical_json
from models.errors import BundleError
from models.recommend.candidates import NoteStatistics, Pool
from models.recommend.sequence import FILE, SequenceSource
from models.recommend.settings import RecommendSettings
from models.recommend.sources import NeighbourSource, NeighbourTable
from models.recommend.vectors import DIMENSIONS, NoteVectors
from models.runtime import open_session

NOTES: Final = "notes.json"
TABLES: Final = "tables.npz"

_STATISTICS: Final = tuple(field.name for field in fields(NoteStatistics))


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """``note_ids`` in the order of the notes' numbers, and what candidates are found with."""

    note_ids: tuple[str, ...]
    pool: Pool


def encode_tables(note_ids: Sequence[str], pool: Pool) -> dict[str, bytes]:
    """The files of a bundle that hold the tables; equal tables give equal bytes."""
    statistics = pool.statistics
    arrays: dict[str, npt.NDArray[Any]] = {
        **{name: getattr(statistics, name) for name in _STATISTICS},
        "factors": pool.factors.vectors,
    }
    for place, source in enumerate(pool.behaviour):
        arrays[f"notes_{place}"] = source.table.notes
        arrays[f"weights_{place}"] = source.table.weights
    out = io.BytesIO()
    np.savez_compressed(out, allow_pickle=False, **arrays)
    return {NOTES: canonical_json(list(note_ids)), TABLES: out.getvalue()}


def decode_tables(files: Mapping[str, bytes], settings: RecommendSettings) -> Tables:
    """What ``encode_tables`` wrote; BundleError for anything else, tables of other lengths among it."""
    try:
        note_ids = tuple(map(str, json.loads(files[NOTES])))
        with np.load(io.BytesIO(files[TABLES]), allow_pickle=False) as arrays:
            statistics = NoteStatistics(**{name: arrays[name] for name in _STATISTICS})
            factors = NoteVectors(arrays["factors"])
            sources = tuple(
                NeighbourSource(name, NeighbourTable(arrays[f"notes_{place}"], arrays[f"weights_{place}"]), decay)
                for place, (name, decay) in enumerate(zip(settings.sources, settings.decays, strict=True))
            )
    except (BadZipFile, KeyError, OSError, TypeError, ValueError) as error:
        raise BundleError(f"the tables can't be read: {error!r}") from error
    pool = Pool(sources, statistics, factors, _sequence(files, settings, len(note_ids)))
    _require_fit(len(note_ids), pool)
    return Tables(note_ids, pool)


def _sequence(files: Mapping[str, bytes], settings: RecommendSettings, n_notes: int) -> SequenceSource | None:
    if not settings.sequence:
        return None
    if FILE not in files:
        raise BundleError(f"no {FILE} in the bundle")
    return SequenceSource(open_session(files[FILE], name=FILE), n_notes)


def _require_fit(n_notes: int, pool: Pool) -> None:
    statistics = pool.statistics
    shapes = {getattr(statistics, name).shape for name in _STATISTICS}
    tables = [source.table for source in pool.behaviour]
    fit = all(one.notes.shape == one.weights.shape and len(one) == n_notes and one.notes.ndim == 2 for one in tables)
    fit = fit and shapes == {(n_notes,)} and pool.factors.vectors.shape == (n_notes, DIMENSIONS)
    if not n_notes or not fit or any(one.notes.max() >= n_notes for one in tables):
        raise BundleError(f"the tables don't fit the {n_notes} notes of {NOTES}")

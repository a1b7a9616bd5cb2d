"""What notes say, as a recommender reads it: their embeddings by a released quality model."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from features.sources import Dataset
from models.bundle import Bundle
from models.quality.reading import NoteText
from models.quality.scorer import QualityScorer
from models.recommend.catalogue import Catalogue, CatalogueNote
from models.recommend.vectors import quantised
from training.progress import Progress, silent

ENCODER: Final = "quality"
"""The kind of model that embeds notes: what a recommender's bundle ``requires`` one of."""

_BATCH: Final = 32


def read_catalogue(
    dataset: Dataset, note_ids: Sequence[str], encoder: Bundle | None, progress: Progress = silent
) -> Catalogue | None:
    """The notes by number, with the embeddings of those whose text the dataset has.

    None where there is no encoder, it gives no embeddings, or the dataset has no ``notes``.
    """
    if encoder is None or "notes" not in dataset.summaries:
        return None
    scorer = QualityScorer(encoder)
    catalogue = Catalogue(note_ids)
    rows = dataset.connection.execute("SELECT note_id, coalesce(title, ''), body FROM notes").fetchall()
    known = [(note_id, NoteText(name, body)) for note_id, name, body in rows if catalogue.number(note_id) is not None]
    for start in range(0, len(known), _BATCH):
        progress("reading the notes", start, len(known))
        batch = known[start : start + _BATCH]
        embedding = scorer.score([text for _, text in batch]).embedding
        if embedding is None:
            return None
        for (note_id, _), vector in zip(batch, quantised(np.asarray(embedding)), strict=True):
            catalogue.put(CatalogueNote(note_id, vector=vector.tobytes() if vector.any() else None))
    return catalogue

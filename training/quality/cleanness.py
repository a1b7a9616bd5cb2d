"""How often a model flags notes that nothing is wrong with."""

import numpy as np

from models.quality.scorer import QualityScorer
from models.quality.settings import LabelKind
from training.quality.corpus import CLEAN, Corpus


def flag_rates(scorer: QualityScorer, corpus: Corpus) -> dict[str, float]:
    """By harm label, the share of clean notes that is flagged, of those not learnt from; ``any`` is of any harm.

    Empty where there are no clean notes.
    """
    notes = corpus.split(CLEAN).notes
    if not notes:
        return {}
    probability = scorer.score(notes).probability
    labels = list(enumerate(scorer.settings.labels))
    flagged = {one.name: probability[:, k] >= one.threshold for k, one in labels if one.kind is LabelKind.HARM}
    rates = {name: float(own.mean()) for name, own in flagged.items()}
    return rates | {"any": float(np.any(list(flagged.values()), axis=0).mean())}

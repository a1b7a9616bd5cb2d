"""The baseline: character TF-IDF with logistic regression, one for each label, fitted on the same notes."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from models.quality.reading import NoteText
from training.metrics import auc

Floats = npt.NDArray[np.float64]

INVERSE_PENALTIES: Final = (1.0, 3.0, 10.0, 30.0)


class Texts(NamedTuple):
    """Notes with, for one label, 0 or 1 each."""

    notes: Sequence[NoteText]
    y: Floats


def tfidf(learn: Texts, tune: Texts, judged: Sequence[NoteText]) -> Floats:
    """The baseline's probabilities for the judged notes, (n,); its penalty ranks the notes to tune on best."""
    vectoriser = TfidfVectorizer(analyzer="char", ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    inputs = vectoriser.fit_transform(map(_text, learn.notes))
    tuning = vectoriser.transform(map(_text, tune.notes))
    models = [_fitted(inputs, learn.y, inverse_penalty) for inverse_penalty in INVERSE_PENALTIES]
    best = max(models, key=lambda model: float(auc(tune.y, model.decision_function(tuning))[0]))
    return np.asarray(best.predict_proba(vectoriser.transform(map(_text, judged)))[:, 1])


def _fitted(inputs: Any, y: Floats, inverse_penalty: float) -> LogisticRegression:
    return LogisticRegression(C=inverse_penalty, solver="liblinear", random_state=0).fit(inputs, y)


def _text(note: NoteText) -> str:
    return f"{note.title}\n{note.body}" if note.title else note.body

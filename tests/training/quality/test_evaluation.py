"""Figures worked by hand, and what an evaluation says of a small community."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from models.quality.scorer import QualityScorer
from training.quality.corpus import Corpus
from training.quality.evaluation import LabelEvaluation, evaluate, macro_f1
from training.quality.export import export_quality
from training.quality.recipe import QualityTraining


def test_macro_f1_is_the_mean_of_both_answers() -> None:
    y, p = np.array([1.0, 1, 1, 0]), np.array([0.9, 0.8, 0.1, 0.6])
    with_label = 2 * 2 / (2 * 2 + 1 + 1)  # two right, one missed, one wrong
    assert macro_f1(y, p, np.ones((1, 4)))[0] == pytest.approx((with_label + 0) / 2)


def test_macro_f1_of_a_resample_is_that_of_its_notes() -> None:
    rng = np.random.default_rng(0)
    y, p = (rng.random(40) < 0.4).astype(np.float64), rng.random(40)
    weights = rng.multinomial(40, np.full(40, 1 / 40), size=3).astype(np.float64)
    drawn = [np.repeat(np.arange(40), row.astype(int)) for row in weights]
    expected = [f1_score(y[rows], p[rows] >= 0.5, average="macro") for rows in drawn]
    assert macro_f1(y, p, weights) == pytest.approx(expected)


@pytest.fixture(scope="module")
def evaluations(
    training: QualityTraining, corpus: Corpus, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, LabelEvaluation]:
    scorer = QualityScorer(export_quality(training.model, None, tmp_path_factory.mktemp("bundle")))
    return {one.label.name: one for one in evaluate(scorer, corpus, 7, lambda what, done, total: None)}


def test_a_label_is_judged_on_its_own_notes_alone(evaluations: dict[str, LabelEvaluation], corpus: Corpus) -> None:
    for name, one in evaluations.items():
        held_out = corpus.known(corpus.labels.index(name)) & (corpus.splits == "dev")
        assert (one.split, len(one.y)) == ("dev", held_out.sum())
        assert set(one.ids) == {note for note, held in zip(corpus.ids, held_out, strict=True) if held}


def test_what_is_easy_is_found(evaluations: dict[str, LabelEvaluation]) -> None:
    for one in evaluations.values():
        assert one.figures["model"].auc > 0.95
        assert one.figures["tfidf"].auc > 0.95
        assert one.auc_difference.low <= one.auc_difference.mean <= one.auc_difference.high


def test_flags_and_false_positives_are_counted_from_the_threshold_on(evaluations: dict[str, LabelEvaluation]) -> None:
    one = evaluations["spam"]
    flagged = one.predictions["model"] >= one.flags.threshold
    assert one.flags.precision == pytest.approx((flagged & (one.y == 1)).sum() / flagged.sum())
    assert one.flags.recall == pytest.approx((flagged & (one.y == 1)).sum() / one.y.sum())
    assert one.false_positive_rates == {}  # fewer than fifty notes of a category without the label

"""The wide part: what it reads, that SciPy and the graph's formula agree, and that a real phrase is found."""

import numpy as np
import pytest

from features.ngrams import SHELVES, hashed_ngrams
from features.text.lexicons import Lexicons
from models.quality.reading import BODY, NoteReader, NoteText
from training.quality.wide import Choice, Labelled, SignalScale, Surface, Wide, fit_wide, stacked, wide_logits


def read(bodies: list[str]) -> Surface:
    reader = NoteReader(Lexicons.load(), None, window_tokens=0)
    return Surface.of(reader.read([NoteText("", body) for body in bodies]).arrays)


@pytest.fixture(scope="module")
def labelled() -> Labelled:
    """Eighty notes, every other one of which says 加微信."""
    bodies = [f"第{place}次来{'加微信' if place % 2 else '坐一坐'}这里{place * 7}" for place in range(80)]
    y = np.arange(80) % 2
    return Labelled(read(bodies), y.astype(np.float64), np.ones(80), np.arange(80))


@pytest.fixture(scope="module")
def scale(labelled: Labelled) -> SignalScale:
    return SignalScale.of(labelled.surface.signals)


@pytest.fixture(scope="module")
def wide(labelled: Labelled, scale: SignalScale) -> Wide:
    return fit_wide(labelled, labelled, scale)


def test_a_phrase_that_tells_the_label_is_learnt(wide: Wide, scale: SignalScale) -> None:
    spam, plain = wide_logits(stacked([wide], scale), read(["明天加微信聊", "明天坐一坐聊"]))[:, 0]
    assert spam > 0 > plain


def test_an_ngram_of_two_notes_is_not_read(wide: Wide) -> None:
    rare = set(hashed_ngrams("第79次", field=BODY)[0].tolist()) - set(hashed_ngrams("第7次9", field=BODY)[0].tolist())
    pairs = [bucket for bucket in rare if bucket in SHELVES[3]]
    assert pairs
    assert [float(wide.norm[bucket]) for bucket in pairs] == [0.0] * len(pairs)


def test_where_pairs_are_chosen_no_triple_is_read(labelled: Labelled, wide: Wide) -> None:
    triples = wide.norm[SHELVES[3].start :]
    assert bool(triples.any()) == (wide.choice.longest == 3)


def test_the_logit_is_the_stated_formula(wide: Wide, scale: SignalScale) -> None:
    surface = read(["明天加微信聊"])
    row = surface.counts[[0]].toarray()[0]
    weight, norm = wide.weight.astype(np.float64), wide.norm.astype(np.float64)
    ngrams = (row * weight).sum() / np.sqrt(((row * norm) ** 2).sum())
    signals = scale.standard(surface.signals)[0] @ wide.signal_weight
    assert wide_logits(stacked([wide], scale), surface)[0, 0] == pytest.approx(
        ngrams + signals + wide.intercept, rel=1e-6
    )


def test_a_signal_that_never_varies_does_no_harm() -> None:
    scale = SignalScale.of(np.array([[1.0, 5.0], [3.0, 5.0]]))
    assert scale.standard(np.array([[100.0, 5.0], [2.0, 6.0]])).tolist() == [[4.0, 0.0], [0.0, 1.0]]


def test_too_few_notes_to_tune_on_are_helped_by_folds_of_all(labelled: Labelled, scale: SignalScale) -> None:
    few = labelled.take(np.arange(6))
    assert isinstance(fit_wide(labelled, few, scale).choice, Choice)

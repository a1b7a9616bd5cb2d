"""The one segmenter: jieba's words, several times faster."""

from importlib.metadata import version

import jieba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.text.lexicons import Lexicons
from features.text.normalise import normalise
from features.text.segment import SEGMENTER, segment
from features.text.signals import ReadNote, signal_row
from training.sample.phrases import load_phrasebook


@pytest.fixture(scope="module")
def sentences() -> list[tuple[str, str]]:
    """(title, body) of every sentence that the sample community's notes are made of."""
    topics = load_phrasebook().topics
    return [
        (f"{topic.name}，{topic.people[0]}说点实话", sentence.replace("{thing}", topic.things[0]))
        for topic in topics
        for sentence in (*topic.titles, *topic.openings, *topic.details, *topic.tips)
    ]


def test_the_segmenter_and_jieba_itself_give_nearly_every_note_the_same_signals(
    sentences: list[tuple[str, str]],
) -> None:
    lexicons = Lexicons.load()
    ours, theirs = (
        [signal_row(ReadNote(title, body, lexicons, cut=cut)) for title, body in sentences]
        for cut in (segment, jieba.lcut)
    )
    same = np.mean([np.array_equal(one, other) for one, other in zip(ours, theirs, strict=True)])
    assert len(sentences) > 500
    assert same >= 0.98


@given(st.text(st.characters(codec=None), max_size=80))
def test_the_segments_of_normalised_text_are_the_text(text: str) -> None:
    plain = normalise(text).text
    assert "".join(segment(plain)) == plain


def test_words_are_jiebas_and_the_name_is_the_installed_version() -> None:
    assert segment("我来到北京清华大学") == ["我", "来到", "北京", "清华大学"]
    assert f"rjieba-{version('rjieba')}" == SEGMENTER

"""Scoring notes with a bundle: worked by hand, the same alone and in a crowd, and defined for any text."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from features.ngrams import hashed_ngrams
from models.bundle import GOLDEN, MODEL, Bundle, write_bundle
from models.errors import BundleError, ContractError
from models.quality.encoders.graph import quantise
from models.quality.graph import WINDOWS_AT_ONCE
from models.quality.reading import BODY, MAX_TOKENS, TITLE, NoteText
from models.quality.scorer import EXAMPLES, TOKENIZER, QualityScorer
from training.quality.export import ExportedEncoder, export_quality
from training.quality.recipe import QualityModel

SPAM, PLAIN = NoteText("", "加微信"), NoteText("", "今天阳光很好")
STRANGE = [
    NoteText("", ""),
    NoteText("", "🎉🎉🎉"),
    NoteText("", "\x00\x07\u200b"),
    NoteText("", "שלום עולם"),
    NoteText("Weekend in Paris", "A quiet café behind the station."),
    NoteText("", "\ud800"),
    NoteText("标题" * 50, "很长的正文，" * 200),
]


def sigmoid(z: float) -> float:
    return float(1 / (1 + np.exp(-z)))


@pytest.fixture(scope="module")
def wide(wide_bundle: Bundle) -> QualityScorer:
    return QualityScorer(wide_bundle)


@pytest.fixture(scope="module")
def deep(deep_bundle: Bundle) -> QualityScorer:
    return QualityScorer(deep_bundle)


def test_a_label_has_the_probability_that_its_parts_make(wide: QualityScorer) -> None:
    scores = wide.score([SPAM, PLAIN])
    expected = [[sigmoid(4 * (1 - 2) / 2 + 0.5), sigmoid(4 * -1 / 2 + 0.5)], [sigmoid(4 * -2 / 2 + 0.5), sigmoid(-1.5)]]
    assert scores.probability == pytest.approx(np.array(expected), abs=1e-3)  # tables of 16 bits
    assert scores.embedding is None


def test_the_quality_score_is_made_of_harm_and_information_and_of_no_neutral_label(wide: QualityScorer) -> None:
    empty, crowd = wide.score([NoteText("", ""), PLAIN]).quality
    assert empty == pytest.approx(100 * (1 - sigmoid(-3.5)) / 4, abs=0.1)  # no information: a quarter
    entropy = np.log2(6)  # six characters, all different
    assert crowd == pytest.approx(100 * (1 - sigmoid(-3.5)) * (1 + 3 * entropy / 6) / 4, abs=0.1)


def test_a_note_scores_the_same_alone_and_in_a_crowd(deep: QualityScorer) -> None:
    notes = [SPAM, PLAIN, *STRANGE]
    together = deep.score(notes)
    for place, note in enumerate(notes):
        alone = deep.score([note])
        assert alone.probability[0].tolist() == together.probability[place].tolist()
        assert alone.quality[0] == together.quality[place]


def test_any_text_has_a_defined_score(deep: QualityScorer) -> None:
    scores = deep.score(STRANGE)
    assert ((scores.probability > 0) & (scores.probability < 1)).all()
    assert ((scores.quality >= 0) & (scores.quality <= 100)).all()
    assert np.linalg.norm(scores.embedding, axis=1) == pytest.approx(np.ones(len(STRANGE)), abs=1e-3)


def test_no_notes_have_no_scores(deep: QualityScorer) -> None:
    scores = deep.score([])
    assert scores.probability.shape == (0, 2)
    assert scores.embedding.shape == (0, 128)


def test_a_long_note_is_read_to_its_end(deep: QualityScorer, deep_model: QualityModel) -> None:
    filler = "今天去公园散步，天气晴朗，心情很好。" * 6
    notes = [NoteText("", filler), NoteText("", filler + "免费领取优惠，点击链接")]
    assert len(deep_model.reader().read(notes[1:]).arrays["window_note"]) > 3
    ours, longer = deep.score(notes).embedding
    assert ours.tolist() != longer.tolist()


def test_a_note_of_more_windows_than_are_read_at_once_scores_as_the_trainer_says(
    deep: QualityScorer, deep_model: QualityModel
) -> None:
    notes = [NoteText("", "今天去公园散步，天气晴朗，心情很好。" * 60 + "免费领取优惠"), SPAM]
    assert len(deep_model.reader().read(notes).arrays["window_note"]) > 2 * WINDOWS_AT_ONCE
    assert deep.score(notes).probability == pytest.approx(deep_model.predict(notes), abs=1e-5)


def test_what_a_note_needs_of_memory_does_not_grow_with_its_length(deep_bundle: Bundle, tmp_path: Path) -> None:
    """A body of 20,000 characters in a process of its own; all its windows at once took three times as much."""
    bundle = write_bundle(tmp_path, deep_bundle.contract, deep_bundle.files)
    program = f"""
import resource
from pathlib import Path
from models.bundle import read_bundle
from models.quality.reading import NoteText
from models.quality.scorer import QualityScorer
scorer = QualityScorer(read_bundle(Path({str(tmp_path / bundle.digest)!r})))
scorer.score([NoteText("", "今天去公园散步。")])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
scorer.score([NoteText("", "今天去公园散步，天气晴朗，心情很好，" * 1_111)])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert int(done.stdout) < 150 * 1024  # kB


def test_of_a_note_with_more_tokens_than_are_read_windows_are_spread_over_all_of_it(deep_model: QualityModel) -> None:
    reader, sentences = deep_model.reader(), "今天去公园散步，天气晴朗，心情很好。免费领取优惠，"
    text = sentences * (3 * MAX_TOKENS // len(sentences))
    some, all_of_it = reader.read([NoteText("", text)]), reader.read([NoteText("", text[:1_000])])
    ids = some.arrays["input_ids"]
    assert len(ids) == MAX_TOKENS // 24
    assert ids[0].tolist() == all_of_it.arrays["input_ids"][0].tolist()
    assert some.arrays["attention_mask"][-1].sum() < 24 == some.arrays["attention_mask"][-2].sum()  # the last one


def test_the_graph_says_what_the_trainer_says(deep: QualityScorer, deep_model: QualityModel) -> None:
    notes = [SPAM, PLAIN, *STRANGE]
    assert deep.score(notes).probability == pytest.approx(deep_model.predict(notes), abs=1e-5)


def test_words_are_attributed_where_they_stand_in_the_original(wide: QualityScorer) -> None:
    note = NoteText("", "喜欢的加 微❤ 呀")
    first = wide.attribute(note, [0])[0][0]
    assert first.field == "body"
    assert note.body[first.span.start : first.span.end] in {"加", "微❤", "加 微❤"}
    assert first.contribution > 0


def test_words_without_which_nothing_changes_add_nothing(wide: QualityScorer) -> None:
    assert {one.contribution for one in wide.attribute(PLAIN, [1])[0]} == {0.0}


def changed(bundle: Bundle, **files: bytes) -> Bundle:
    return replace(bundle, files={**bundle.files, **files})


def test_a_bundle_without_a_lexicon_or_its_examples_is_refused(wide_bundle: Bundle) -> None:
    for missing in ("contact.txt", EXAMPLES, GOLDEN, MODEL):
        files = {name: content for name, content in wide_bundle.files.items() if name != missing}
        with pytest.raises(BundleError):
            QualityScorer(replace(wide_bundle, files=files))


def test_a_bundle_whose_tokenizer_cannot_be_read_is_refused(deep_bundle: Bundle) -> None:
    with pytest.raises(BundleError, match=r"tokenizer\.json can't be read"):
        QualityScorer(changed(deep_bundle, **{TOKENIZER: b"{}"}))


def test_a_bundle_that_would_read_notes_otherwise_is_refused(deep_bundle: Bundle) -> None:
    contract = deep_bundle.contract
    longer = replace(contract, settings={**contract.settings, "window_tokens": 48})
    with pytest.raises(BundleError, match=r"examples\.json: notes are read otherwise"):
        QualityScorer(replace(deep_bundle, contract=longer))


def test_a_contract_of_another_reading_is_refused(wide_bundle: Bundle) -> None:
    contract = wide_bundle.contract
    reading = {**contract.settings["reading"], "segmenter": "another-1.0"}
    other = replace(contract, settings={**contract.settings, "reading": reading})
    with pytest.raises(ContractError, match="train it anew"):
        QualityScorer(replace(wide_bundle, contract=other))


def test_ngrams_that_a_title_and_a_body_share_by_chance_are_counted_once_as_their_sum(wide_model: QualityModel) -> None:
    read = wide_model.reader().read(
        [NoteText(*("".join(map(chr, range(start, start + 900))) for start in (0x4E00, 0x6000)))]
    )
    (signals,) = read.signals
    texts = [field.normalised.text for field in signals.note.fields]
    title, body = (
        dict(zip(*map(np.ndarray.tolist, hashed_ngrams(text, field=field)), strict=True))
        for text, field in zip(texts, (TITLE, BODY), strict=True)
    )
    assert title.keys() & body.keys()
    expected = {bucket: title.get(bucket, 0) + body.get(bucket, 0) for bucket in title.keys() | body.keys()}
    arrays = read.arrays
    assert dict(zip(arrays["ngrams"].tolist(), arrays["ngram_counts"].tolist(), strict=True)) == pytest.approx(expected)


def test_a_model_in_8_bits_scores_its_examples_as_it_did_when_it_was_exported(
    deep_model: QualityModel, exported_encoder: ExportedEncoder, tmp_path: Path
) -> None:
    """To the last digit: what is served is one note at a time, and so are the examples."""
    small = ExportedEncoder(quantise(exported_encoder.graph), exported_encoder.tokenizer, in_8_bits=True)
    steep = replace(deep_model.parts.blend, slope=deep_model.parts.blend.slope * 20)
    bundle = export_quality(replace(deep_model, parts=replace(deep_model.parts, blend=steep)), small, tmp_path)
    examples = json.loads(bundle.files[EXAMPLES])
    scores = QualityScorer(bundle).score([NoteText(**one["note"]) for one in examples])
    assert scores.probability.tolist() == [one["probability"] for one in examples]

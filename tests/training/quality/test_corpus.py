"""Labelled notes: what is unknown stays unknown, splits keep alike notes together, and bad tables are named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.errors import DataError
from features.sources import Dataset
from models.quality.reading import NoteText
from training.quality.corpus import Corpus, alike, read_corpus

Read = Callable[..., Corpus]
Rows = list[dict[str, Any]]


@pytest.fixture
def read(tmp_path: Path, write_table: Callable[..., None], open_notes: Callable[..., list[Dataset]]) -> Read:
    """Notes (id to body) and judgements, as one dataset; ``test`` as another, to be judged on alone."""

    def from_rows(bodies: dict[str, str], labels: Rows, test: tuple[dict[str, str], Rows] | None = None) -> Corpus:
        parts = [("train", bodies, labels), *([("test", *test)] if test else [])]
        for name, notes, judged in parts:
            write_table(tmp_path / name, "notes", [{"note_id": one, "body": body} for one, body in notes.items()])
            write_table(tmp_path / name, "note_labels", judged)
        datasets = open_notes(*(tmp_path / name for name, *_ in parts))
        return read_corpus(datasets[:1], datasets[1:])

    return from_rows


def judged(note_id: str, label: str, value: float, split: str = "train", **more: Any) -> dict[str, Any]:
    return {"note_id": note_id, "label": label, "value": value, "split": split, **more}


def test_a_label_that_a_note_was_not_judged_for_is_unknown_and_not_0(read: Read) -> None:
    corpus = read(
        {"a": "一", "b": "二"}, [judged("a", "spam", 1), judged("b", "abuse", 0, "dev"), judged("b", "spam", 0, "dev")]
    )
    assert corpus.labels == ("abuse", "spam")
    assert corpus.targets[corpus.ids.index("0:a")].tolist() == [pytest.approx(np.nan, nan_ok=True), 1.0]
    assert corpus.targets[corpus.ids.index("0:b")].tolist() == [0.0, 0.0]


def test_the_later_judgement_counts(read: Read) -> None:
    earlier, later = "2023-01-01T00:00:00Z", "2023-02-01T00:00:00Z"
    rows = [judged("a", "spam", 1, decided_at=later), judged("a", "spam", 0, decided_at=earlier)]
    corpus = read({"a": "一", "b": "二"}, [*rows, judged("b", "spam", 1, "dev", decided_at=earlier)])
    assert corpus.targets[corpus.ids.index("0:a"), 0] == 1


def test_a_weight_that_is_not_given_is_1(read: Read) -> None:
    rows = [judged("a", "spam", 1, weight=0.5), judged("b", "spam", 0, "dev", weight="")]
    assert read({"a": "一", "b": "二"}, rows).weights.tolist() == [[0.5], [1.0]]


def test_notes_that_differ_in_marks_and_spelling_alone_are_alike() -> None:
    notes = [NoteText("", "加微信，领优惠！"), NoteText("", "加 V信 领优惠"), NoteText("", "加微信领红包")]
    numbers = alike(notes).tolist()
    assert numbers[0] == numbers[1] != numbers[2]


def test_a_text_that_is_held_out_is_not_learnt_from(read: Read) -> None:
    bodies = {"a": "好吃不贵", "b": "好吃，不贵！", "c": "另一条", "d": "好吃不贵。"}
    rows = [
        judged("a", "spam", 1),
        judged("c", "spam", 0),
        judged("b", "spam", 1, "dev"),
        judged("d", "spam", 1, "test"),
    ]
    corpus = read(bodies, rows)
    assert dict(zip(corpus.ids, corpus.splits.tolist(), strict=True)) == {"0:c": "train", "0:d": "test"}


def test_all_of_a_test_dataset_is_held_out_and_its_other_labels_are_left_out(read: Read) -> None:
    rows = [judged("a", "spam", 1), judged("b", "spam", 0, "dev")]
    corpus = read(
        {"a": "一", "b": "二"}, rows, test=({"a": "三", "b": "四"}, [judged("a", "spam", 1), judged("b", "x", 1)])
    )
    assert corpus.labels == ("spam",)
    assert dict(zip(corpus.ids, corpus.splits.tolist(), strict=True)) == {"0:a": "train", "0:b": "dev", "1:a": "test"}


def test_notes_without_splits_are_split_by_their_text(read: Read) -> None:
    bodies = {f"n{place}": f"{chr(0x4E00 + place)}的第{place}条" for place in range(400)}
    rows = [{"note_id": one, "label": "spam", "value": place % 2} for place, one in enumerate(bodies)]
    corpus = read(bodies, rows)
    share = (corpus.splits == "dev").mean()
    assert 0.1 < share < 0.2
    again = read(dict(reversed(bodies.items())), rows)
    assert dict(zip(again.ids, again.splits, strict=True)) == dict(zip(corpus.ids, corpus.splits, strict=True))


def test_a_label_without_notes_to_tune_on_gets_some_of_its_training_notes(read: Read) -> None:
    bodies = {f"n{place}": f"{chr(0x4E00 + place)}的第{place}条" for place in range(200)}
    rows = [judged(one, "spam", place % 2) for place, one in enumerate(bodies)]
    corpus = read(bodies | {"d": "有分的"}, [*rows, judged("d", "abuse", 1, "dev")])
    known = corpus.known(corpus.labels.index("spam"))
    assert set(corpus.splits[known]) == {"train", "dev"}


@pytest.mark.parametrize(
    ("bodies", "rows", "message"),
    [
        ({"a": "一"}, [judged("b", "spam", 1)], "1 of the notes that they judge are not in notes"),
        ({"a": "一"}, [judged("a", "spam", 1, "later")], "column split: expected train, dev, test, got later"),
    ],
)
def test_judgements_that_do_not_fit_are_named(read: Read, bodies: dict[str, str], rows: Rows, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(bodies, rows)


def test_without_any_judgement_there_is_nothing_to_learn(
    tmp_path: Path, write_table: Callable[..., None], open_notes: Callable[..., list[Dataset]]
) -> None:
    write_table(tmp_path, "notes", [{"note_id": "a", "body": "一"}])
    with pytest.raises(DataError, match="no dataset to learn from has note_labels"):
        read_corpus(open_notes(tmp_path))


def test_clean_notes_have_no_harm_and_are_unknown_for_every_other_label(
    folders: list[Path], write_notes: Callable[..., Path], open_notes: Callable[..., list[Dataset]], tmp_path: Path
) -> None:
    clean = open_notes(write_notes(tmp_path / "clean", "positive", [""], n=40))
    corpus = read_corpus(open_notes(*folders), clean=clean, harms=["spam", "clickbait"])
    of_clean = np.isin(corpus.splits, ("harmless", "clean"))
    assert of_clean.sum() == 40
    assert corpus.labels == ("abuse", "spam")
    assert set(corpus.targets[of_clean, 1]) == {0.0}
    assert np.isnan(corpus.targets[of_clean, 0]).all()
    assert len(corpus.split("dev")) == len(read_corpus(open_notes(*folders)).split("dev"))


def test_harmless_notes_count_together_a_quarter_of_a_labels_own(
    folders: list[Path], write_notes: Callable[..., Path], open_notes: Callable[..., list[Dataset]], tmp_path: Path
) -> None:
    clean = open_notes(write_notes(tmp_path / "clean", "positive", [""], n=400))
    corpus = read_corpus(open_notes(*folders), clean=clean, harms=["spam"])
    harmless, own = corpus.splits == "harmless", corpus.known(1) & (corpus.splits == "train")
    assert harmless.sum() == 200
    assert corpus.weights[harmless, 1].sum() == pytest.approx(own.sum() / 4)
    assert set(corpus.weights[own, 1]) == {1.0}


@pytest.mark.parametrize(
    ("of_test", "split"),
    [((1, 1, 1, 0, 0, 0), "test"), ((0, 0, 0, 0, 1, 1), "dev"), ((1, 1, 1, 1, 0, 0), "dev"), ((), "dev")],
)
def test_a_label_is_judged_on_test_notes_if_three_have_it_and_three_not(
    read: Read, of_test: tuple[int, ...], split: str
) -> None:
    values = {"train": (1, 0), "dev": (1, 1, 1, 0, 0, 0), "test": of_test}
    rows = [judged(f"{name}{n}", "spam", y, name) for name in values for n, y in enumerate(values[name])]
    corpus = read({row["note_id"]: f"第{row['note_id']}条" for row in rows}, rows)
    assert corpus.telling_split(0) == split


def test_no_split_tells_of_a_label_that_all_notes_have(read: Read) -> None:
    rows = [judged("a", "spam", 1), judged("b", "spam", 1, "dev"), judged("c", "spam", 1, "test")]
    assert read({"a": "一", "b": "二", "c": "三"}, rows).telling_split(0) == ""

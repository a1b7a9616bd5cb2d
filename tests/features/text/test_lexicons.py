"""Lexicons: phrases are found in what a reader sees, a folder replaces them, and a bad line is named."""

from pathlib import Path

import pytest

from features.errors import DataError
from features.text.lexicons import NAMES, Lexicon, Lexicons


def found(lines: str, text: str) -> list[str]:
    return [text[slice(*span)] for span in Lexicon("words.txt", lines).find(text)]


def test_of_phrases_that_overlap_the_first_and_then_the_longest_counts() -> None:
    assert found("加微\n加微信\n微信号", "加微信号") == ["加微信"]


def test_no_phrase_within_an_innocent_one_counts() -> None:
    assert found("第一\n-第一次", "第一次用就是第一") == ["第一"]
    assert found("加微信\n-增加微信用户", "增加微信用户") == []


def test_phrases_are_normalised_like_the_text_they_are_sought_in() -> None:
    assert found("國 家 級\n加Ｖ❤", "国家级,加微信") == ["国家级", "加微信"]


def test_comments_and_empty_lines_hold_no_phrases() -> None:
    assert len(Lexicon("words.txt", "\ufeff# 第一\n\n  \n最佳\n-最佳女主角\n")) == 1


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("最佳\n\u200b!\n最佳", "words.txt line 3: '最佳' stands there twice"),
        ("最佳\n最 佳", "words.txt line 2: '最 佳' stands there twice"),
        ("# 词\n-", "words.txt line 2: '-' has no characters"),
        ("长" + "字词" * 21, "is longer than 40 characters"),
    ],
)
def test_a_bad_line_is_named_with_its_file_and_value(lines: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Lexicon("words.txt", lines)


def test_a_file_of_ones_own_replaces_the_built_in_one_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "superlative.txt").write_text("宇宙最强\n", encoding="utf-8")
    lexicons = Lexicons.load(tmp_path)
    assert len(lexicons.by_name["superlative"]) == 1
    assert lexicons.by_name["contact"].file_text == Lexicons.load().by_name["contact"].file_text


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="lexicons: no such folder"):
        Lexicons.load(tmp_path / "lexicons")


def test_what_is_no_lexicon_is_refused(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("最佳\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"unknown: words\.txt"):
        Lexicons.load(tmp_path)
    with pytest.raises(DataError, match=r"missing or unknown: hook\.txt"):
        Lexicons.from_files({f"{name}.txt": b"" for name in NAMES if name != "hook"})
    with pytest.raises(DataError, match=r"contact\.txt is not UTF-8: byte 1 is 0xff"):
        Lexicons.from_files({f"{name}.txt": b"a\xff" for name in NAMES})


def test_lexicons_travel_as_files_byte_for_byte() -> None:
    files = Lexicons.load().to_files()
    assert Lexicons.from_files(files).to_files() == files
    assert sorted(files) == sorted(f"{name}.txt" for name in NAMES)


def test_an_empty_lexicon_finds_nothing() -> None:
    assert found("# nothing\n", "国家级") == []


def test_the_built_in_lexicons_say_where_they_come_from_and_are_not_small() -> None:
    for name, one in Lexicons.load().by_name.items():
        assert "ritten for this project" in one.file_text.replace("\n# ", " "), name
        assert len(one) > 100

"""Hashed n-grams: which there are, how often, and that they stay where they are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.ngrams import N_BUCKETS, SHELVES, hashed_ngrams


def shelf_of(bucket: int) -> int:
    return next(size for size, shelf in SHELVES.items() if bucket in shelf)


def test_a_text_has_each_run_of_one_two_and_three_characters_with_its_two_ends() -> None:
    buckets, counts = hashed_ngrams("好吃", field=0)  # ^ 好 吃 $ / ^好 好吃 吃$ / ^好吃 好吃$
    assert sorted(shelf_of(bucket) for bucket in buckets.tolist()) == [1, 1, 1, 1, 2, 2, 2, 3, 3]
    assert counts.tolist() == [1.0] * 9
    assert counts.dtype == np.float32


def test_what_stands_often_counts_by_the_logarithm() -> None:
    _, counts = hashed_ngrams("aaa", field=0)  # a three times, aa twice, all else once
    assert sorted(counts.tolist())[-2:] == pytest.approx([1 + np.log(2), 1 + np.log(3)])


def test_a_title_and_a_body_share_no_bucket_for_the_same_text() -> None:
    title, body = (set(hashed_ngrams("周末去哪儿", field=field)[0].tolist()) for field in (1, 2))
    assert len(title & body) <= 1  # by chance


def test_the_same_text_falls_into_the_same_buckets_for_ever() -> None:
    buckets, _ = hashed_ngrams("加微信", field=2)
    assert buckets.tolist() == [3740, 5452, 10648, 12691, 16236, 33145, 40143, 112886, 113885, 223953, 241329, 248484]


def test_an_empty_text_has_none() -> None:
    buckets, counts = hashed_ngrams("", field=0)
    assert (len(buckets), len(counts)) == (0, 0)


@given(st.text())
def test_any_text_has_ascending_buckets_within_bounds(text: str) -> None:
    buckets, counts = hashed_ngrams(text, field=1)
    assert (np.diff(buckets) > 0).all()
    assert ((buckets >= 0) & (buckets < N_BUCKETS)).all()
    assert (counts >= 1).all()

"""MinHash signatures: the same everywhere, and true to the similarity they estimate."""

import hashlib
import random

import pytest

from features.similarity import N_BANDS, SIGNATURE_BYTES, bands, estimate, signature

TEXT = "今天去试了街角新开的咖啡店，拿铁奶泡细腻，豆子偏深烘，适合一个人坐着看书。"


def test_a_signature_is_the_same_bytes_for_ever() -> None:
    digest = hashlib.sha256(signature("今天去试了这家新开的咖啡店")).hexdigest()
    assert digest == "2efa009b32ee1484815a9ec84e24e70d05569cb8b6d4c37b3bd4ee6cd0fba7b7"


@pytest.mark.parametrize("text", ["", "好", "好的", TEXT, TEXT * 3000])
def test_a_signature_has_a_fixed_size(text: str) -> None:
    assert len(signature(text)) == SIGNATURE_BYTES


def test_what_reads_the_same_has_the_same_signature() -> None:
    assert signature("國 家 級\u200b護膚　推薦！！！") == signature("国家级护肤推荐!")


def test_texts_without_a_common_stretch_resemble_nothing() -> None:
    assert estimate(signature("甲乙丙丁戊己庚辛"), signature("子丑寅卯辰巳午未")) == 0.0
    assert estimate(signature(""), signature("")) == 0.0
    assert bands(signature("")) == ()


def test_short_texts_are_one_shingle() -> None:
    assert estimate(signature("好的"), signature("好的")) == 1.0
    assert estimate(signature("好的"), signature("好吧")) == 0.0


def test_estimates_err_no_more_than_the_standard_error_says() -> None:
    rng = random.Random(3)
    alphabet = [chr(0x4E00 + place) for place in range(2000)]
    errors = []
    for _ in range(200):
        common, one, other = ("".join(rng.choices(alphabet, k=rng.randrange(20, 120))) for _ in range(3))
        grams = [{text[at : at + 5] for at in range(len(text) - 4)} for text in (common + one, common + other)]
        truth = len(grams[0] & grams[1]) / len(grams[0] | grams[1])
        error = estimate(signature(common + one), signature(common + other)) - truth
        errors.append(error / (truth * (1 - truth) / 128) ** 0.5)
    assert abs(sum(errors)) / 200 < 0.25  # unbiased: three standard errors of the mean of 200
    assert 0.75 < (sum(error**2 for error in errors) / 200) ** 0.5 < 1.25


def test_near_copies_share_a_band_and_strangers_do_not() -> None:
    copy = TEXT.replace("街角", "楼下")
    assert set(enumerate(bands(signature(TEXT)))) & set(enumerate(bands(signature(copy))))
    assert not set(enumerate(bands(signature(TEXT)))) & set(enumerate(bands(signature("明天要早起赶飞机，先睡了"))))
    assert b"".join(bands(signature(TEXT))) == signature(TEXT)
    assert len(bands(signature(TEXT))) == N_BANDS


def test_what_is_no_signature_is_refused() -> None:
    with pytest.raises(ValueError, match="signatures have 512 bytes, got 3 and 512"):
        estimate(b"abc", signature(TEXT))

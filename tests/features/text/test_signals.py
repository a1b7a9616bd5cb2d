"""Surface signals of a note: the row for models, the findings for people."""

from collections.abc import Callable
from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.text.findings import FINDINGS
from features.text.lexicons import Lexicons
from features.text.signals import N_SIGNALS, SIGNALS, find_signals, signal_features

Growth = Callable[[Callable[[str], object], str], float]

LEXICONS = Lexicons.load()


def row(title: str, body: str) -> dict[str, float]:
    """A note's signals by name."""
    numbers = find_signals(title, body, LEXICONS).row.tolist()
    return dict(zip((one.name for one in SIGNALS), numbers, strict=True))


def found(title: str, body: str) -> list[tuple[str, str, str]]:
    """(code, field, the stretch of the original) of a note's findings."""
    texts = {"title": title, "body": body}
    findings = find_signals(title, body, LEXICONS).findings
    return [(one.code, one.field, texts[one.field][slice(*one.span)]) for one in findings]


@pytest.mark.parametrize(
    ("body", "finding"),
    [
        ("电话１３８ ００１３ ８０００", ("phone_number", "１３８ ００１３ ８０００")),
        ("座机(0755)82345678", ("phone_number", "0755)82345678")),
        ("拨打400-888-1234", ("phone_number", "400-888-1234")),
        ("手机1🔥38🔥0013🔥8000", ("phone_number", "1🔥38🔥0013🔥8000")),
        ("想要的加薇\u200b❤️：ABC12345", ("wechat", "薇\u200b❤️：ABC12345")),
        ("微信同号13800138000", ("wechat", "微信同号13800138000")),
        ("我的扣扣：１２３４５６７８", ("qq", "扣扣：１２３４５６７８")),
        ("发到 Me_1@QQ.com 谢谢", ("email", "Me_1@QQ.com")),
        ("可以加我v信聊", ("contact", "加我v信")),
        ("加威信", ("disguised_contact", "威信")),
        ("长按识别二维码", ("diversion", "长按识别")),
        ("看http://T.cn/aB1）很好", ("link", "http://T.cn/aB1")),
        ("上www.shop-1.com.cn看", ("link", "www.shop-1.com.cn")),
        ("只要￥9.9！", ("price", "￥9.9")),
        ("才1,299元", ("price", "1,299元")),
        ("限時 秒杀", ("promotion", "限時 秒杀")),
        ("全 網*最*低 价", ("superlative", "全 網*最*低 价")),
        ("稳赚不赔", ("guarantee", "稳赚不赔")),
        ("不轉不是中国人", ("clickbait", "不轉不是中国人")),
        ("好好好好好好好好", ("repetition", "好好好好好好好好")),
        ("买它买它买它买它", ("repetition", "买它买它买它买它")),
        ("😀" * 7, ("emoji_dense", "😀" * 7)),
        ("#美妆 " * 10, ("hashtag_dense", "#美妆 " * 10)),
        ("好的" * 10, ("little_information", "好的" * 10)),
    ],
)
def test_a_finding_names_its_stretch_of_the_original(body: str, finding: tuple[str, str]) -> None:
    assert (finding[0], "body", finding[1]) in found("", body)
    assert finding[0] in FINDINGS


@pytest.mark.parametrize(
    "innocent",
    [
        "第一次用，第一感觉不错",
        "微信支付很方便",
        "微信 iphone 版",
        "发了微信给客服，没回",
        "树立威信，增加群众基础",
        "2013-05-18 15:30，3.14，100-200，尺寸101*80",
        "订单号20130518153000123",
        "哈哈哈哈哈哈哈哈",
        "打了电话给酒店，前台态度很好",
        "没想到竟然这么好用",
        "版本1.2.3，型号v5",
    ],
)
def test_an_innocent_text_has_no_findings(innocent: str) -> None:
    assert found("", innocent) == []


def test_a_hook_is_found_in_a_title_alone_but_counted_in_both() -> None:
    assert found("竟然是它", "竟然很好用") == [("hook", "title", "竟然")]
    assert row("竟然是它", "竟然很好用")["hooks"] == pytest.approx(log(3))
    assert row("竟然是它", "竟然很好用")["title_hooks"] == pytest.approx(log(2))


def test_findings_come_title_first_then_in_the_order_of_the_codes() -> None:
    codes = [(field, code) for code, field, _ in found("震惊！最佳", "包邮，加我微信，最佳，13800138000")]
    title, body = ["superlative", "clickbait"], ["phone_number", "contact", "promotion", "superlative"]
    assert codes == [*(("title", code) for code in title), *(("body", code) for code in body)]


def test_shares_are_of_the_characters_of_title_and_body() -> None:
    numbers = row("ab!", "1２😀\u200b# ？")
    assert numbers["latin_share"] == pytest.approx(2 / 10)
    assert numbers["digit_share"] == pytest.approx(2 / 10)
    assert numbers["emoji_share"] == pytest.approx(1 / 10)
    assert numbers["invisible_share"] == pytest.approx(1 / 10)
    assert numbers["exclamation_share"] == pytest.approx(2 / 10)


def test_the_joiners_of_an_emoji_are_not_hidden_characters() -> None:
    assert row("", "一家👨\u200d👩\u200d👧")["invisible_share"] == 0
    assert row("", "微\u200d信\u200d")["invisible_share"] == pytest.approx(2 / 4)


def test_words_are_counted_without_marks() -> None:
    numbers = row("咖啡", "我来到北京清华大学，我来到咖啡")  # 我 来到 北京 清华大学 我 来到 咖啡
    assert numbers["body_words"] == pytest.approx(log(8))
    assert numbers["distinct_word_share"] == pytest.approx(5 / 7)
    assert numbers["mean_word_chars"] == pytest.approx((1 + 2 + 2 + 4 + 1 + 2 + 2) / 7)
    assert numbers["title_in_body_share"] == 1.0


def test_entropy_and_repetition_by_hand() -> None:
    numbers = row("", "甲乙丙丁甲乙丙丁")  # four characters alike often: 2 bits; of five 4-grams one stood before
    assert numbers["entropy_bits"] == pytest.approx(2)
    assert numbers["repeated_share"] == pytest.approx(1 / 5)


def test_an_empty_note_is_zero_throughout_and_has_no_findings() -> None:
    assert not find_signals("", "", LEXICONS).row.any()
    assert find_signals("", "", LEXICONS).findings == ()


def test_a_note_alone_gets_the_row_it_gets_among_others() -> None:
    notes = [("震惊", "加微信"), ("", ""), ("标题", "正文。正文！")]
    rows = signal_features(notes, LEXICONS)
    assert rows.shape == (3, N_SIGNALS)
    assert rows.dtype == np.float32
    for one, note in zip(rows, notes, strict=True):
        np.testing.assert_array_equal(one, find_signals(*note, LEXICONS).row)
    assert signal_features([], LEXICONS).shape == (0, N_SIGNALS)


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(codec=None), max_size=40), st.text(st.characters(codec=None), max_size=40))
def test_any_text_has_finite_signals_and_findings_within_it(title: str, body: str) -> None:
    signals = find_signals(title, body, LEXICONS)
    assert np.isfinite(signals.row).all()
    lengths = {"title": len(title), "body": len(body)}
    assert all(0 <= one.span.start < one.span.end <= lengths[one.field] for one in signals.findings)


@pytest.mark.slow
@pytest.mark.parametrize(
    "unit", ["加v", "微信:", "a.", "a@", "http://", "1.1.", "¥1,", "第一", "好坏", "[蜡烛]", "#a ", "01-"]
)
def test_the_time_grows_with_the_text_and_not_with_its_square(unit: str, growth: Growth) -> None:
    assert growth(lambda body: find_signals("", body, LEXICONS), unit) < 1_000  # linear is 100, quadratic 10,000

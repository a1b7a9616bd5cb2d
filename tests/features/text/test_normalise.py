"""Normalised text: evasions fall away, innocent words stay, and every character knows where it came from."""

import sys
from collections.abc import Callable
from unicodedata import category

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from features.text.characters import fold_character
from features.text.normalise import folded_chars, folded_start, normalise

Growth = Callable[[Callable[[str], object], str], float]

TRICKY = st.text(
    st.sampled_from(
        "微薇威信❤心vxｖＸqQ扣企鹅🐧wei加+号群: .*-_|1３８①零一幺oli!！。…哈國級Φ"  # what the steps look for
        " \u3000\t\n\u200b\u202e\ufe0f\u0301\ud83d\udc67"  # and what they drop
    ),
    max_size=60,
)
ANY = st.text(st.characters(codec=None), max_size=60)


def test_a_character_counts_as_those_that_it_stands_for() -> None:
    assert [folded_chars(text) for text in ("微信", "㎏", "\ufdfa", "a\u200b", "")] == [2, 2, 18, 1, 0]
    assert [folded_start("a㎏b", n) for n in range(5)] == ["", "a", "a", "a㎏", "a㎏b"]
    assert folded_start("\u200b" * 9, 4) == "\u200b" * 4  # what has no ink counts as it is written


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("ＡＢＣ１２３", "abc123"),
        ("①②③ ⑴ 🄰🅱🇨 𝟏𝟑𝟖 1️⃣3️⃣8️⃣", "123 1 abc 138 138"),
        ("國家級護膚", "国家级护肤"),
        ("微\u200b信\u202e号", "微信号"),
        ("今 天　天 气", "今天天气"),
        ("good product 很好", "good product 很好"),
        ("国*家*级*最*佳", "国家级最佳"),
        ("红、黄、蓝", "红、黄、蓝"),
        ("#美妆 #护肤 @小红", "#美妆 #护肤 @小红"),
        ("电话 ：13800138000 ，谢谢", "电话:13800138000,谢谢"),
        ("想✨要🌸同✨款", "想要同款"),
        ("好吃😋推荐", "好吃😋推荐"),
        ("太好了！！！！！……", "太好了!."),
        ("哈哈哈哈哈哈", "哈哈哈"),
        ("10000 88888", "10000 88888"),
        ("http://a.cn//x", "http://a.cn//x"),
        ("1 3 8-0 0 1 3 8 0 0 0", "13800138000"),
        ("幺三八零零一三八零零零", "13800138000"),
        ("l38oo138ooo", "13800138000"),
        ("电话：1 86637212 23-谢谢", "电话:18663721223-谢谢"),
        ("1🔥380*0138🔥000", "13800138000"),
        ("热线0755/8234 5678", "热线075582345678"),
        ("代码为：002728、300390、732100", "代码为:002728、300390、732100"),
        ("150 200 30000，尺寸101*80", "150 200 30000,尺寸101*80"),
        ("Z̷a̶l̵g̸o", "zalgo"),
        ("半\ud83d个", "半\ufffd个"),
        ("", ""),
    ],
)
def test_what_hides_text_falls_away(written: str, read: str) -> None:
    assert normalise(written).text == read


DISGUISES = ["微 信", "微.信", "薇信", "微❤️", "V信", "v 信", "V❤", "ＶＸ", "v.x", "WeChat", "weixin"]


@pytest.mark.parametrize("written", [*DISGUISES, "🆅🆇", "卫❤", "微\u200b信"])
def test_a_disguise_that_means_nothing_else_is_always_read_as_wechat(written: str) -> None:
    assert normalise(f"就用{written}吧").text == "就用微信吧"


@pytest.mark.parametrize("written", ["威信", "威 信", "V", "卫星", "wei xin", "w e i x i n", "唯心", "🛰", "绿泡泡"])
def test_an_innocent_word_means_wechat_in_the_company_of_a_contact(written: str) -> None:
    assert normalise(f"加{written}").text == "加微信"
    assert normalise(f"{written}号：abc123").text == "微信号:abc123"


INNOCENT = ["领导威信", "增加威信", "威信号召力", "大v", "发射卫星", "唯心主义", "企鹅", "附加企鹅", "薇薇"]


@pytest.mark.parametrize("innocent", [*INNOCENT, "口口声声", "认证加vip", "vip", "qs排名", "微芯片", "略微,信"])
def test_an_innocent_word_stays_where_no_contact_is_near(innocent: str) -> None:
    assert normalise(innocent).text == innocent


@pytest.mark.parametrize("written", ["扣扣", "叩叩", "企鹅", "🐧", "秋秋", "q"])
def test_names_of_qq_before_a_number_are_read_as_qq(written: str) -> None:
    assert normalise(f"{written}：12345678").text == "qq:12345678"


@pytest.mark.parametrize("written", ["☎", "📞", "Φ", "TEL"])
def test_signs_of_a_telephone_before_digits_are_read_as_telephone(written: str) -> None:
    assert normalise(f"{written}13800138000").text == "电话13800138000"
    assert normalise(f"{written}很好看").text == f"{written}很好看".casefold()


def test_a_span_covers_the_characters_that_made_it_with_what_was_dropped_between_them() -> None:
    original = "请加 薇\u200b ❤️ 聊"
    plain = normalise(original)
    assert plain.text == "请加微信聊"
    assert original[slice(*plain.original_span(2, 4))] == "薇\u200b ❤️"
    assert original[slice(*plain.original_span(0, 2))] == "请加"
    assert plain.original_span(5, 5) == (len(original), len(original))
    assert [original[slice(*span)] for span in plain.disguised] == ["薇\u200b ❤️"]


def test_a_span_outside_the_text_is_refused() -> None:
    with pytest.raises(IndexError, match="no stretch 1 to 3 in a text of 2"):
        normalise("微信").original_span(1, 3)


def test_an_honest_name_is_no_disguise() -> None:
    assert normalise("我的wechat：abc123，QQ：12345678").disguised == ()


def test_folding_a_folded_character_changes_nothing_for_any_character_of_unicode() -> None:
    assigned = (one for one in map(chr, range(sys.maxunicode + 1)) if category(one) not in {"Cn", "Co"})
    folded = {one: fold_character.__wrapped__(one) for one in assigned}
    changed = {new for one, new in folded.items() if new != one}
    assert len(changed) > 5000
    assert [new for new in changed if "".join(map(fold_character, new)) != new] == []


@pytest.mark.parametrize("strategy", [TRICKY, ANY], ids=["tricky", "any"])
def test_normalising_again_changes_nothing(strategy: st.SearchStrategy[str]) -> None:
    @settings(max_examples=400, deadline=None)
    @given(strategy)
    @example("v 信 v 信 v ❤ 号 : a b c d")
    def holds(text: str) -> None:
        once = normalise(text).text
        assert normalise(once).text == once

    holds()


@settings(max_examples=300, deadline=None)
@given(st.one_of(TRICKY, ANY))
def test_spans_are_within_the_original_and_never_go_back(text: str) -> None:
    plain = normalise(text)
    spans = [plain.original_span(place, place + 1) for place in range(len(plain.text))]
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert spans == sorted(spans, key=lambda span: span.start) == sorted(spans, key=lambda span: span.end)
    plain.text.encode()  # no half of a surrogate pair is left


HOSTILE = ["微", "v ", "1 ", "* ", "微*", "!", "加v", "\u0301", "\u200b", " ", "一", "a.", "哈", "😀", "עב"]


@pytest.mark.parametrize("unit", [*HOSTILE, "v 信 ", "国*", "ab", "\ud800", "私我", "微....."])
def test_the_time_grows_with_the_text_and_not_with_its_square(unit: str, growth: Growth) -> None:
    assert growth(normalise, unit) < 1_000  # linear is 100, quadratic 10,000

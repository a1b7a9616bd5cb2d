"""What evaders do costs little: their texts, made without the normaliser's tables, still read and signal the same."""

import pytest

from features.text.lexicons import Lexicons
from features.text.normalise import normalise
from features.text.signals import find_signals
from training.quality.evasions import WAYS, evade
from training.sample.phrases import load_phrasebook

CONTACT = {"contact", "wechat", "qq", "phone_number", "disguised_contact", "diversion"}
ADS = (
    "想要同款的姐妹加我微信：abc12345",
    "需要的加微信号 meizhuang_88，备注小红书",
    "货源充足，加我QQ：123456789",
    "有意者联系电话13800138000",
    "进群领券，QQ群号：87654321",
    "扫码加我领资料，先到先得",
    "关注公众号回复护肤，免费领取",
    "微信同号13912345678，欢迎咨询",
    "淘宝搜店铺名就能找到我们",
    "诚招代理，无需囤货，私信我领价格表",
    "主页有链接，点击链接下单",
    "详情请致电400-888-1234",
)
ORTHOGRAPHIES = ("traditional", "hong_kong", "taiwan")
LOSSLESS = (*ORTHOGRAPHIES, "full_width", "enclosed", "keycap", "accented", "zero_width", "direction")


@pytest.fixture(scope="module")
def sentences() -> list[str]:
    topics = load_phrasebook().topics
    return [*ADS, *(line for topic in topics for line in (*topic.titles, *topic.openings, *topic.details, *topic.tips))]


@pytest.mark.parametrize("way", LOSSLESS)
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_what_changes_only_the_look_of_characters_is_undone(way: str, share: float, sentences: list[str]) -> None:
    plain = [normalise(text).text for text in sentences]
    read = [normalise(evade(text, way, seed=7, share=share)).text for text in sentences]
    if way == "taiwan":  # writes 著 for 着; it stays, since simplified 著名 and 著作 have it too
        plain, read = ([text.replace("著", "着") for text in texts] for texts in (plain, read))
    assert [(one, other) for one, other in zip(plain, read, strict=True) if one != other] == []


@pytest.mark.parametrize("way", ["spacing", "punctuation"])
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_what_is_put_between_chinese_characters_is_undone(way: str, share: float) -> None:
    text = "国家级护肤秘方全网最低价进群领取"
    assert normalise(evade(text, way, seed=7, share=share)).text.rstrip("*_|^·") == text


@pytest.mark.parametrize(
    ("way", "floor"),
    [*((way, 1.0) for way in LOSSLESS), ("spacing", 0.95), ("punctuation", 0.95), ("emoji", 0.75), ("homophone", 0.6)],
)
def test_most_advertisements_are_still_found_out(way: str, floor: float) -> None:
    lexicons = Lexicons.load()
    evaded = [evade(text, way, seed=seed) for text in ADS for seed in range(10)]
    found = [any(one.code in CONTACT for one in find_signals("", text, lexicons).findings) for text in evaded]
    assert sum(found) / len(found) >= floor
    assert way in WAYS

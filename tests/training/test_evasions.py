"""Writing as evaders do: the same for the same seed, and only what each way can change."""

import pytest

from training.quality.evasions import WAYS, evade

TEXT = "想要的姐妹加我微信abc123，电话13800138000，国家级护肤！"


@pytest.mark.parametrize("way", WAYS)
def test_the_same_seed_gives_the_same_text_and_another_seed_another(way: str) -> None:
    long = TEXT * 5
    assert evade(long, way, seed=1) == evade(long, way, seed=1)
    assert evade(long, way, seed=1) != evade(long, way, seed=2)
    assert evade(long, way, seed=1, share=0.0) == long


@pytest.mark.parametrize(
    ("way", "text", "evaded"),
    [
        ("traditional", "国家级护肤", "國家級護膚"),
        ("full_width", "vx:abc1", "ｖｘ：ａｂｃ１"),
        ("keycap", "加1", "加1\ufe0f\u20e3"),
        ("spacing", "微信!", "微 信 !"),
        ("pinyin", "微信", "weixin"),
        ("enclosed", "微信", "微信"),
        ("homophone", "English 12 ！", "English 12 ！"),
    ],
)
def test_a_way_changes_what_it_can_and_nothing_else(way: str, text: str, evaded: str) -> None:
    assert evade(text, way, seed=0, share=1.0) == evaded


def test_a_homophone_is_another_common_character_of_the_same_sound() -> None:
    evaded = evade("微信", "homophone", seed=0, share=1.0)
    assert evaded[0] != "微"
    assert evaded[1] != "信"
    assert evade(evaded, "pinyin", seed=0, share=1.0) == "weixin"


def test_about_the_share_that_is_asked_for_is_changed() -> None:
    evaded = evade("好" * 2000, "homophone", seed=0, share=0.3)
    assert 0.26 < sum(one != "好" for one in evaded) / 2000 < 0.34  # four standard errors


def test_any_text_can_be_evaded() -> None:
    for way in WAYS:
        evaded = evade("\ud800\u200b🐧" + "ｗ①\n", way, seed=0, share=1.0)
        assert [one for one in evaded if one in "\ud800🐧"] == ["\ud800", "🐧"]  # what no way can change

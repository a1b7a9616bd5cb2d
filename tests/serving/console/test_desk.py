"""The review desk and the queue over HTTP."""

import re
from datetime import timedelta

import pytest

from serving.console.marks import pieces
from serving.store.reviewers import Role


def test_a_shift_at_the_desk(console):
    for number in range(3):
        console.put(f"n{number}", body="微信" * (4 + number))
    console.wait(3)
    console.sign_in()
    assert "有 3 条笔记等待审核" in console.open("/console/reviews")
    console.send("/console/reviews/claim")
    assert "<mark" in console.page.text or "广告引流" in console.text
    assert "笔记将：限流" in console.text
    first = console.desk()
    console.send(first, choice="overturn", text="不是广告")
    assert "今天已审 1 条" in console.text
    assert console.desk() != first
    undo = first.replace("decide", "undo")
    console.send(undo)
    assert console.desk() == first
    console.send(first, choice="confirm")
    console.send(console.desk(), choice="block", reason="abuse")
    console.send(console.desk(), choice="correct", label="useful")
    assert "没有等待审核的笔记" in console.text
    decided = console.client.get("/v1/reviews", params={"state": "decided"}).json()["results"]
    found = {(one["judgement"]["outcome"], one["judgement"]["decision"], one["judgement"]["reason"]) for one in decided}
    assert found == {("confirm", "limit", "spam"), ("confirm", "block", "abuse"), ("correct", "pass", "unclear")}
    corrected = next(one for one in decided if one["judgement"]["outcome"] == "correct")
    assert corrected["judgement"]["labels"] == {"spam": False, "useful": True, "story": False}


def test_a_lead_decides_about_many_at_once_and_a_reviewer_may_not(console):
    for number in range(4):
        console.put(f"n{number}", body="微信" * (4 + number))
    console.wait(4)
    console.sign_in("wang", Role.LEAD)
    console.open("/console/queue")
    ticked = re.findall(r'name="review" value="(\w+)"', console.page.text)[:3]
    text = console.send("/console/queue/decide", choice="block", review=ticked)
    assert "确认处理 3 条" in text
    assert console.client.get("/v1/reviews", params={"state": "decided"}).json()["results"] == []
    assert "刚才：屏蔽 3 条" in console.send("/console/queue/decide")
    decided = console.client.get("/v1/reviews", params={"state": "decided"}).json()["results"]
    assert {one["judgement"]["decision"] for one in decided} == {"block"}
    assert {one["review_id"] for one in decided} == set(ticked)
    console.wait(1)
    console.send("/console/sign-out")
    console.sign_in("lin")
    assert "对勾选的笔记" not in console.open("/console/queue")
    token = re.search(r'name="csrf" value="([^"]+)"', console.client.get("/console/users").text).group(1)
    assert console.client.post("/console/queue/decide", data={"csrf": token, "choice": "block"}).status_code == 403


def test_deciding_about_many_keeps_filters_and_the_note_at_hand_and_is_taken_back_whole(console):
    for number in range(4):
        console.put(f"n{number}", title=f"标题{number}", body=f"\n第一行{number}" + "微信" * (4 + number))
    console.wait(4)
    console.sign_in("wang", Role.LEAD)
    console.open("/console/reviews")
    console.send("/console/reviews/claim")
    mine = console.desk()
    text = console.open("/console/queue?origin=decision&label=spam")
    assert all(f"标题{n}" in text and f"第一行{n}" in text for n in range(4) if f"标题{n}" in text)
    assert "ann" in text
    ticked = re.findall(r'name="review" value="(\w+)"', console.page.text)
    assert "请先勾选" in console.send("/console/queue/decide", status=422, choice="overturn")
    assert 'value="decision" selected' in console.page.text
    text = console.send("/console/queue/decide", choice="overturn", review=[*ticked, "0" * 24])
    assert "正常展示 3 条" in " ".join(text.split())
    text = console.send("/console/queue/decide")
    assert console.page.url.params["label"] == "spam"
    assert "刚才：正常展示 3 条" in text
    assert (console.open("/console/reviews"), console.desk())[1] == mine
    undo = re.search(r'action="(/console/reviews/\w+/undo)"', console.page.text).group(1)
    console.send(undo)
    console.wait(3)
    assert (console.open("/console/reviews"), console.desk())[1] == mine


def test_what_could_not_be_decided_about_is_counted(console):
    for number in range(2):
        console.put(f"n{number}", body="微信" * (4 + number))
    console.wait(2)
    console.add("lin")
    console.sign_in("wang", Role.LEAD)
    console.open("/console/queue")
    ticked = re.findall(r'name="review" value="(\w+)"', console.page.text)
    console.send("/console/queue/decide", choice="block", review=ticked)
    assert console.client.post("/v1/reviews:claim", json={"reviewer": "lin"}).json()["review"]
    text = console.send("/console/queue/decide")
    assert "有 1 条没有处理" in text


def test_a_note_is_read_before_and_after_it_is_decided_about(console):
    console.put("n", title="一个标题", body="微信微信微信微信微信")
    console.wait(1)
    console.sign_in()
    console.open("/console/queue")
    link = re.search(r'href="(/console/queue/\w{24})"', console.page.text).group(1)
    text = console.open(link)
    assert "一个标题" in text
    assert "/decide" not in console.page.text
    console.open("/console/reviews")
    console.send("/console/reviews/claim")
    console.send(console.desk(), choice="block", text="引流", reason="spam")
    assert link in console.open("/console/queue?state=decided&mine=1") or link in console.page.text
    text = console.open(link)
    assert "屏蔽" in text
    assert "引流" in text
    console.send("/console/sign-out")
    console.sign_in("wu")
    assert "一个标题" not in console.open("/console/queue?state=decided&mine=1")


def test_putting_notes_back_walks_through_the_whole_queue_and_then_begins_anew(console):
    for number in range(4):
        console.put(f"n{number}", body="微信" * (4 + number))
    console.wait(4)
    console.sign_in()
    console.open("/console/reviews")
    console.send("/console/reviews/claim")
    seen = [console.desk()]
    for _ in range(7):
        console.send(seen[-1].replace("decide", "skip"))
        seen.append(console.desk())
    assert len({*seen[:4]}) == 4
    assert seen[4:] == seen[:4]
    console.send(console.desk(), choice="confirm")
    assert console.desk() == seen[0]


def test_the_only_note_is_put_back_and_taken_again(console):
    console.put("n")
    console.wait(1)
    console.sign_in()
    console.open("/console/reviews")
    console.send("/console/reviews/claim")
    first = console.desk()
    assert "有 1 条笔记等待审核" in console.send(first.replace("decide", "skip"))
    console.send("/console/reviews/claim")
    assert console.desk() == first


def test_what_was_written_is_given_up_only_when_that_is_asked_for_twice(console):
    for number in range(3):
        console.put(f"n{number}", body="微信" * (4 + number))
    console.wait(3)
    console.sign_in()
    console.open("/console/reviews")
    console.send("/console/reviews/claim")
    console.send(console.desk(), choice="confirm")
    undo = re.search(r'action="(/console/reviews/\w+/undo)"', console.page.text).group(1)
    mine = console.desk()
    words = {"text": "写到一半", "reason": "abuse", "about": mine.split("/")[3], "label": "useful"}
    for action in (mine.replace("decide", "skip"), undo):
        assert "还没有提交" in console.send(action, status=409, **words)
        assert "写到一半</textarea>" in console.page.text
        assert '<option value="abuse" selected>' in console.page.text
        assert 'name="label" value="useful" checked' in console.page.text
        assert console.desk() == mine
    console.send(mine.replace("decide", "skip"), **words)
    assert console.desk() != mine


def test_taking_back_keeps_the_note_at_hand(console):
    for number in range(3):
        console.put(f"n{number}", title=f"第{number}条", body="微信" * (4 + number))
    console.wait(3)
    console.sign_in()
    console.open("/console/reviews")
    console.send("/console/reviews/claim")
    first, title = console.desk(), re.search("第.条", console.text).group()
    text = console.send(first, choice="block")
    assert f"刚才：屏蔽 「{title}」" in text
    second = console.desk()
    console.send(first.replace("decide", "undo"))
    assert console.desk() == first
    console.send(first, choice="confirm")
    assert console.desk() == second
    assert f"刚才：限流 「{title}」" in console.text


def test_taking_back_too_late_costs_nothing(console):
    for number in range(2):
        console.put(f"n{number}", body="微信" * (4 + number))
    console.wait(2)
    console.sign_in()
    console.open("/console/reviews")
    console.send("/console/reviews/claim")
    undo = console.desk().replace("decide", "undo")
    console.send(console.desk(), choice="block")
    mine = console.desk()
    assert "30 秒内" in console.text
    console.world.clock.now += timedelta(seconds=12)
    assert "18 秒内" in console.open("/console/reviews")
    console.world.clock.now += timedelta(seconds=20)
    assert "不能撤销" in console.send(undo, status=409)
    assert console.desk() == mine
    assert "撤销 " not in console.open("/console/reviews").replace("撤销上一条决定", "")
    assert console.desk() == mine


def test_an_escalation_says_from_whom_and_why_and_is_taken_back(console):
    console.put("n")
    console.wait(1)
    console.sign_in()
    console.open("/console/reviews")
    console.send("/console/reviews/claim")
    mine = console.desk()
    text = console.send(mine, choice="escalate", text="是不是软广？\n请看第三段", reason="unclear")
    assert "1 条已上报，等组长决定" in text
    console.send(mine.replace("decide", "undo"))
    assert console.desk() == mine
    assert "是不是软广" not in console.text
    console.send(mine, choice="escalate", text="是不是软广？", reason="unclear")
    console.send("/console/sign-out")
    console.sign_in("zhao", Role.LEAD)
    console.open("/console/reviews")
    text = console.send("/console/reviews/claim")
    assert "lin 上报于" in text
    assert "难以判断" in text[text.index("lin 上报于") :][:60]
    assert "是不是软广？" in text
    assert re.search(r'value="escalate"[^>]* disabled', console.page.text)
    assert "您就是组长，请直接决定" in text
    assert "您就是组长" in console.send(mine, status=409, choice="escalate")
    console.send(mine, choice="confirm")
    (decided,) = console.client.get("/v1/reviews", params={"state": "decided"}).json()["results"]
    assert decided["escalation"]["text"] == "是不是软广？"


def test_counts_are_of_what_one_may_take_and_an_empty_desk_says_why(console):
    for number in range(3):
        console.put(f"n{number}", body="微信" * (4 + number))
    console.wait(3)
    console.sign_in()
    console.open("/console/reviews")
    console.send("/console/reviews/claim")
    assert "可领 2 条" in console.text
    console.send(console.desk(), choice="escalate")
    console.send("/console/sign-out")
    console.sign_in("wu")
    assert "有 1 条笔记等待审核" in console.open("/console/reviews")
    console.send("/console/reviews/claim")
    console.send(console.desk(), choice="confirm")
    text = console.open("/console/reviews")
    assert "现在没有等待审核的笔记" in text
    assert "1 条正由别人审核" in text
    assert "1 条已上报，等组长决定" in text
    assert "领取" not in text.replace("不能领取", "")


def test_words_about_one_note_never_stand_at_another(console):
    for number in range(2):
        console.put(f"n{number}", body="微信" * (4 + number))
    console.wait(2)
    console.sign_in()
    console.open("/console/reviews")
    console.send("/console/reviews/claim")
    first, page = console.desk(), console.page
    console.send(first, choice="confirm")
    second = console.desk()
    console.page = page  # as another tab still shows it
    assert "已经有结论" in console.send(first, status=409, choice="overturn", text="关于第一条", label="useful")
    assert console.desk() == second
    assert "另一条笔记" in console.text
    assert 'maxlength="2000"></textarea>' in console.page.text
    assert 'name="label" value="useful" checked' not in console.page.text


def test_a_note_that_changed_under_the_reviewer_says_so_and_keeps_what_was_written(console):
    console.put("n")
    console.wait(1)
    console.sign_in()
    console.open("/console/reviews")
    console.send("/console/reviews/claim")
    console.put("n", body="微信微信微信")
    console.send(console.desk(), status=409, choice="confirm", text="写到一半")
    assert "请重新领取" in console.text
    assert "写到一半" in console.text


def test_nothing_of_a_note_runs_or_breaks_the_page(console):
    evil = '<script>alert(1)</script>"><img src=x onerror=alert(2)>{{ 7 * 7 }}\u202e مرحبا'
    console.put("n", title=evil[:100], body=evil + "微信" * 4_000)
    console.wait(1)
    console.sign_in()
    console.open("/console/reviews")
    console.send("/console/reviews/claim")
    assert "<script>alert" not in console.page.text
    assert "<img src=x" not in console.page.text
    assert "{{ 7 * 7 }}" in console.text
    console.send(console.desk(), choice="confirm")


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], ["abcdef"]),
        ([(1, 3)], ["a", "bc", "def"]),
        ([(0, 6)], ["abcdef"]),
        ([(1, 4), (2, 9)], ["a", "b", "cd", "ef"]),
    ],
)
def test_marks_cut_a_text_where_reasons_begin_and_end(spans, expected):
    from features.wording import Text
    from models.quality.reasons import NoteReason

    reasons = [NoteReason("x", Text("甲", "a"), "body", start, end) for start, end in spans]
    found = pieces("abcdef", "body", reasons)
    assert [one.text for one in found] == expected
    assert "".join(one.text for one in found) == "abcdef"
    assert pieces("", "body", reasons) == []


def test_an_unknown_author_has_nobody_s_history(console):
    console.put("theirs")
    console.wait(1)
    console.sign_in()
    console.open("/console/reviews")
    console.send("/console/reviews/claim")
    console.send(console.desk(), choice="confirm")
    console.put("n", author_id=None, body="微信微信微信微信微信")
    console.wait(1)
    console.open("/console/reviews")
    text = console.send("/console/reviews/claim")
    assert "作者未知" in text
    assert text.count("维持") == 2  # the button, and the help of the keys


def test_a_copy_that_was_deleted_meanwhile_leaves_the_desk_as_it_is(console):
    text = "今天去公园散步，天气很好，遇见一只猫。微信微信微信微信微信微信"
    console.put("copy", body=text)
    console.put("n", body=text)
    console.wait(2)
    console.sign_in()
    console.open("/console/reviews")
    assert "近似笔记" in console.send("/console/reviews/claim")
    store = console.client.app.state.services.notes._notes
    mine = console.client.get("/v1/reviews", params={"state": "claimed"}).json()["results"][0]["note_id"]
    console.client.portal.call(store.delete, {"copy": "n", "n": "copy"}[mine])  # before the scores know of it
    assert "近似笔记" not in console.open("/console/reviews")

"""The review desk and the queue over HTTP."""

import re

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


def test_the_next_note_is_shown_ahead_and_taken_by_nobody(console):
    for number in range(2):
        console.put(f"n{number}", title=f"第{number}条")
    console.wait(2)
    console.sign_in()
    console.open("/console/reviews")
    console.send("/console/reviews/claim")
    mine = re.search("第.条", console.text).group()
    ahead = console.client.get("/console/reviews/next")
    other = re.search("第.条", ahead.text).group()
    assert other != mine
    assert "<form" not in ahead.text
    console.wait(1)  # the other is open still
    console.open("/console/reviews")
    console.send(console.desk(), choice="confirm")
    assert other in console.text
    assert console.client.get("/console/reviews/next").status_code == 204


def test_a_lead_decides_about_many_at_once_and_a_reviewer_may_not(console):
    for number in range(4):
        console.put(f"n{number}", body="微信" * (4 + number))
    console.wait(4)
    console.sign_in("wang", Role.LEAD)
    console.open("/console/queue")
    ticked = re.findall(r'name="review" value="(\w+)"', console.page.text)[:3]
    console.send("/console/queue/decide", choice="block", review=ticked)
    decided = console.client.get("/v1/reviews", params={"state": "decided"}).json()["results"]
    assert {one["judgement"]["decision"] for one in decided} == {"block"}
    assert {one["review_id"] for one in decided} == set(ticked)
    console.wait(1)
    console.send("/console/sign-out")
    console.sign_in("lin")
    assert "对勾选的笔记" not in console.open("/console/queue")
    token = re.search(r'name="csrf" value="([^"]+)"', console.client.get("/console/users").text).group(1)
    assert console.client.post("/console/queue/decide", data={"csrf": token, "choice": "block"}).status_code == 403


def test_a_note_put_back_makes_room_for_another(console):
    for number in range(2):
        console.put(f"n{number}", body="微信" * (4 + number))
    console.wait(2)
    console.sign_in()
    console.open("/console/reviews")
    console.send("/console/reviews/claim")
    first = console.desk()
    console.send(first.replace("decide", "skip"))
    assert console.desk() != first


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

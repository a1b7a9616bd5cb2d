"""Every address of the console leads somewhere, and what can't be done is said on a page, in the reader's language."""

import re
from typing import get_args

import pytest
from fastapi.routing import iter_route_contexts

from models.policy.errors import Code, PolicyError
from models.policy.schema import read_policy
from serving.console.languages import language
from serving.console.refusals import PROBLEMS, problem_text, refusal
from serving.errors import ConflictError, ServingError
from serving.policies.live import shipped_policy
from serving.store.reviewers import Role

PASSWORD = "correct horse battery"
HEX = "0" * 24
FORMS = [
    "reviews/claim", f"reviews/{HEX}/decide", f"reviews/{HEX}/renew", f"reviews/{HEX}/skip", f"reviews/{HEX}/undo",
    "queue/decide", "users/find", "users/u7/erase", "policy/check", "policy/simulate", "policy/store",
    "policy/activate", "policy/shadow", "policy/rollback", "people/add", "people/disable", "people/role",
    "people/account", "audit/find", "sign-in/again", "sign-out", "sign-out/everywhere", "language",
]  # fmt: skip
ENGLISH = re.compile(r"[a-z]{3,} [a-z]{3,}")
CHINESE = re.compile(r"[\u4e00-\u9fff]")


def kinds(of=ServingError):
    return {of} | {one for kind in of.__subclasses__() for one in kinds(kind)}


def test_the_address_of_a_form_leads_to_its_page(console):
    console.sign_in("boss", Role.ADMIN)
    for path in FORMS:
        console.open(f"/console/{path}")
        assert console.page.url.path in {f"/console/{path.split('/')[0]}", "/console/reviews"}, path
        assert "登录" in console.text or 'class="who">boss' in console.page.text, path


def test_every_form_is_among_those_that_are_opened_here(console):
    sent = {
        one.path.removeprefix("/console/")
        for one in iter_route_contexts(console.client.app.routes)
        if one.path.startswith("/console/") and {*(one.methods or ())} == {"POST"}
    }
    assert sent == {one.replace(HEX, "{review_id}").replace("u7", "{user_id}") for one in FORMS}


def test_a_form_of_nothing_whose_session_ended_is_gone_on_from_its_page(console):
    for path in FORMS:
        if path not in {"sign-in/again", "sign-out", "language"}:
            console.page = console.client.post(f"/console/{path}", data={"csrf": "x"})
            onward = re.findall(r'name="path" value="(/console[^"]*)"', console.page.text)
            assert {*onward} == {f"/console/{path.split('/')[0]}"}


def test_a_desk_left_over_night_is_there_again_in_the_morning(console):
    console.sign_in()
    console.put("n")
    console.wait(1)
    console.open("/console/reviews")
    console.client.cookies.clear()
    console.send("/console/reviews/claim")
    assert "有 1 条笔记等待审核" in console.send("/console/sign-in", name="lin", password=PASSWORD)


def test_a_wrong_address_is_a_page_with_the_way_on(console):
    console.sign_in("lin", Role.LEAD)
    for code in ("zh", "en"):
        console.client.cookies.set("mingjian_language", code, path="/console")
        for path in ("nothing", "reviews/nothing/more", "static/nothing.css", "users/nobody", "overview/charts/x.svg"):
            text = console.open(f"/console/{path}", status=404)
            assert console.page.headers["content-type"].startswith("text/html")
            assert 'class="who">lin' in console.page.text
            assert 'href="/console/queue"' in console.page.text
            assert bool(ENGLISH.search(text)) == (code == "en"), text
            assert bool(CHINESE.search(re.sub("明鉴|中文", "", text))) == (code == "zh"), text


def test_a_wrong_address_is_a_page_however_it_is_asked_for_and_by_anybody(console):
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        for path in ("nothing", "overview", "reviews", "sign-in/nothing"):
            answer = console.client.request(method, f"/console/{path}")
            assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    console.open("/console/nothing", status=404)
    assert 'class="who"' not in console.page.text


def test_the_language_is_switched_on_a_page_that_a_form_drew(console):
    console.sign_in("boss", Role.ADMIN)
    console.open("/console/policy")
    console.send("/console/policy/check", status=422, content="x", why="")
    console.send("/console/language")
    assert console.page.url.path == "/console/policy"


def test_signing_in_and_switching_the_language_keep_the_filters(console):
    console.add("lin")
    console.open("/console/queue?state=decided&tier=koc")
    console.send("/console/sign-in", name="lin", password=PASSWORD)
    assert str(console.page.url).endswith("/console/queue?state=decided&tier=koc")
    console.send("/console/language")
    assert str(console.page.url).endswith("/console/queue?state=decided&tier=koc")


def test_a_form_that_is_too_large_is_refused_on_a_page(console):
    console.sign_in()
    answer = console.client.post("/console/users/find", data={"user_id": "x" * 20_000_000})
    assert (answer.status_code, answer.headers["content-type"]) == (413, "text/html; charset=utf-8")
    assert "内容太长" in answer.text


def test_every_kind_of_refusal_is_said_in_chinese():
    for kind in kinds():
        for detail in ("", "something that was never said before"):
            assert re.fullmatch(r"[^a-z]+", refusal(language("zh"), kind(detail))), kind
        assert refusal(language("en"), kind("as it is")) == "as it is"


def test_a_refusal_with_its_own_words_keeps_them():
    undo = ConflictError("this decision can't be taken back any more")
    assert "不能撤销" in refusal(language("zh"), undo)
    assert refusal(language("zh"), ConflictError("somebody has this name already")) == "这个姓名已有人使用。"
    assert refusal(language("zh"), ConflictError("没有这个选项")) == "没有这个选项"


def test_what_is_wrong_with_a_policy_is_said_in_chinese():
    good = shipped_policy().content
    bad = good.replace("n_followers >= 20000", "followers >= 20000", 1).replace("format = 1", "format = 1\nx = 2", 1)
    for text, told in ((bad, "tiers：没有这个事实，可用的见 docs/policy.md（followers）"), ("a = a", "不是 TOML")):
        with pytest.raises(PolicyError) as caught:
            read_policy(text)
        chinese = [problem_text(language("zh"), one) for one in caught.value.problems]
        assert told in chinese
        assert not any(ENGLISH.search(one.replace("docs/policy.md", "")) for one in chinese)
        english = [problem_text(language("en"), one) for one in caught.value.problems]
        assert english == [one.message for one in caught.value.problems]
    assert {*PROBLEMS} == {*get_args(Code)}

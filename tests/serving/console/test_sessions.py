"""Who may use the console, and for how long."""

from datetime import timedelta

import pytest

from serving.store.reviewers import Role

PASSWORD = "correct horse battery"


def test_a_session_that_ends_mid_decision_loses_nothing(console):
    console.put("n")
    console.wait(1)
    console.sign_in()
    console.open("/console/reviews")
    console.send("/console/reviews/claim")
    action = console.desk()
    console.client.cookies.clear()
    console.send(action, status=401, choice="overturn", text="我的说明")
    assert "原样保留" in console.text
    console.send("/console/sign-in", name="lin", password=PASSWORD)
    console.send(action)
    (decided,) = console.client.get("/v1/reviews", params={"state": "decided"}).json()["results"]
    assert (decided["judgement"]["outcome"], decided["judgement"]["text"]) == ("overturn", "我的说明")


def test_a_session_ends_by_itself_when_it_is_not_used(console):
    console.sign_in()
    console.world.clock.now += timedelta(hours=7)
    console.open("/console/queue")
    console.world.clock.now += timedelta(hours=7)
    assert "登录" not in console.open("/console/queue")
    console.world.clock.now += timedelta(hours=9)
    assert "登录" in console.open("/console/queue")


def test_who_signs_out_is_out(console):
    console.sign_in()
    console.open("/console/queue")
    cookie = console.client.cookies["mingjian_session"]
    console.send("/console/sign-out")
    console.client.cookies.set("mingjian_session", cookie, path="/console")
    assert "登录" in console.open("/console/queue")


def test_five_wrong_passwords_lock_a_name_for_a_while(console):
    console.add("lin")
    console.open("/console/sign-in")
    for _ in range(5):
        console.send("/console/sign-in", status=403, name="lin", password="wrong")
    console.send("/console/sign-in", status=403, name="lin", password=PASSWORD)
    console.send("/console/sign-in", status=403, name="nobody", password=PASSWORD)
    console.world.clock.now += timedelta(minutes=16)
    console.send("/console/sign-in", name="lin", password=PASSWORD)
    assert "审核台" in console.text


def test_a_form_without_the_session_s_token_or_from_another_site_does_nothing(console):
    console.put("n")
    console.wait(1)
    console.sign_in()
    assert console.client.post("/console/reviews/claim", data={"csrf": "x"}).status_code == 403
    headers = {"sec-fetch-site": "cross-site"}
    assert console.client.post("/console/sign-out", headers=headers).status_code in (403, 500)
    assert console.client.get("/v1/reviews").json()["results"][0]["state"] == "open"


def test_signing_in_leads_nowhere_else(console):
    console.add("lin")
    console.open("/console/sign-in")
    data = {"name": "lin", "password": PASSWORD, "path": "//evil.example/console/", "form": ""}
    console.client.follow_redirects = False
    assert console.client.post("/console/sign-in", data=data).headers["location"] == "/console/reviews"


@pytest.mark.parametrize("form", ["{", "[]", '{"a": 1}', "null"])
def test_a_form_that_no_page_wrote_is_not_filled_in_again(console, form):
    console.add("lin")
    data = {"name": "lin", "password": PASSWORD, "path": "/console/queue", "form": form}
    console.client.follow_redirects = False
    answer = console.client.post("/console/sign-in", data=data)
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/queue")


def test_a_form_of_too_many_fields_is_refused(console):
    answer = console.client.post("/console/language", data={f"f{number}": "x" for number in range(101)})
    assert answer.status_code == 422


@pytest.mark.parametrize("https", [False, True])
def test_the_session_s_cookie_is_for_the_server_alone(world, https):
    with world.open(console_https=https) as client:
        client.portal.call(client.app.state.services.reviewers.add, "lin", "reviewer", PASSWORD)
        form = {"name": "lin", "password": PASSWORD}
        cookie = client.post("/console/sign-in", data=form, follow_redirects=False).headers["set-cookie"]
        assert ("HttpOnly" in cookie, "SameSite=lax" in cookie, "Secure" in cookie) == (True, True, https)


def test_a_disabled_person_is_out_at_once(console):
    console.sign_in("boss", Role.ADMIN)
    console.add("lin")
    console.open("/console/people")
    console.send("/console/people/disable")
    assert "已停用" in console.text
    answer = console.client.post("/v1/reviews:claim", json={"reviewer": "lin"})
    assert answer.status_code == 422

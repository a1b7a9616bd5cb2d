"""Who may use the console, and for how long."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from ipaddress import ip_network

import pytest
from fastapi.testclient import TestClient

from serving.sign_in_limits import Tries, limits_of
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


@pytest.mark.parametrize(("settings", "is_https"), [
    ({}, False),
    ({"console_https": True}, True),
    ({"console_url": "https://mingjian.example"}, True),
    ({"console_url": "http://localhost:8000"}, False),
])  # fmt: skip
def test_the_cookies_of_a_sign_in_are_for_the_server_alone(world, settings, is_https):
    with world.open(**settings) as client:
        client.portal.call(client.app.state.services.reviewers.add, "lin", Role.REVIEWER, PASSWORD)
        form = {"name": "lin", "password": PASSWORD}
        device, session = client.post("/console/sign-in", data=form, follow_redirects=False).headers.get_list(
            "set-cookie"
        )
        prefix = "__Host-" if is_https else ""
        assert session.startswith(f"{prefix}mingjian_session=")
        assert device.startswith(f"{prefix}mingjian_device=")
        for cookie in (device, session):
            assert ("HttpOnly" in cookie, "SameSite=lax" in cookie, "Secure" in cookie) == (True, True, is_https)
            assert "Domain" not in cookie
            assert ("Path=/;" in cookie) == is_https
        chosen = client.post("/console/language", data={"language": "en"}, follow_redirects=False)
        assert ("Secure" in chosen.headers["set-cookie"]) == is_https


def test_a_session_ends_however_it_is_used(console):
    console.sign_in()
    for _ in range(3):  # 15 hours
        console.world.clock.now += timedelta(hours=5)
        assert "登录" not in console.open("/console/queue")
    console.world.clock.now += timedelta(hours=1)
    assert "登录" in console.open("/console/queue")


@pytest.mark.parametrize(
    ("change", "given"), [("set_role", Role.LEAD), ("set_password", "another password"), ("disable", None)]
)
def test_a_person_who_is_changed_signs_in_anew(console, change, given):
    console.sign_in()
    changed = getattr(console.client.app.state.services.reviewers, change)
    console.client.portal.call(changed, "lin", *([given] if given else []))
    assert "登录" in console.open("/console/queue")


def test_who_signs_out_everywhere_is_out_in_every_browser_and_others_are_not(console):
    console.sign_in("wu")
    others = console.client.cookies["mingjian_session"]
    console.client.cookies.clear()
    console.sign_in()
    first = console.client.cookies["mingjian_session"]
    console.client.cookies.clear()
    console.open("/console/sign-in")
    console.send("/console/sign-in", name="lin", password=PASSWORD)
    console.send("/console/sign-out/everywhere")
    assert "登录" in console.open("/console/queue")
    for token, is_in in ((first, False), (others, True)):
        console.client.cookies.set("mingjian_session", token, path="/console")
        assert ("登录" not in console.open("/console/queue")) == is_in
        console.client.cookies.clear()


def entries(console, **asked):
    return console.client.get("/v1/audit", params=asked).json()["results"]


def test_signing_in_and_out_is_on_record_and_so_is_failing_to(console):
    console.add("lin")
    console.open("/console/sign-in")
    console.send("/console/sign-in", status=403, name="my secret password", password="x")
    console.send("/console/sign-in", status=403, name="lin", password="wrong")
    console.send("/console/sign-in", name="lin", password=PASSWORD)
    console.send("/console/sign-out")
    told = [(one["action"], one["outcome"], one["actor_kind"], one["target_kind"]) for one in entries(console)][:4]
    assert told == [
        ("sign_out", "done", "person", "person"),
        ("sign_in", "done", "person", "person"),
        ("sign_in", "refused", "anonymous", "person"),
        ("sign_in", "refused", "anonymous", None),
    ]
    assert {one["address"] for one in entries(console, action="sign_in")} == {"testclient"}
    assert "secret" not in str(entries(console))  # what somebody typed, in the wrong field perhaps


def test_changes_of_people_are_on_record(console):
    console.sign_in("boss", Role.ADMIN)
    console.open("/console/people")
    console.send("/console/people/add", name="wu", role="reviewer")
    console.send("/console/people/role", role="ops")
    console.send("/console/people/disable")
    of_boss = [one for one in entries(console) if one["action"].startswith("person.") and one["actor_kind"] == "person"]
    told = [(one["action"], one["detail"]) for one in of_boss]
    assert told == [("person.disable", ""), ("person.role", "ops"), ("person.add", "reviewer")]
    assert len({one["target"] for one in of_boss}) == 1


def test_no_admin_ends_or_demotes_themselves(console):
    console.sign_in("boss", Role.ADMIN)
    console.add("wu")
    console.open("/console/people")
    console.send("/console/people/disable", status=422, name="boss")
    console.open("/console/people")
    console.send("/console/people/role", status=422, name="boss", role="reviewer")
    console.open("/console/people")


@pytest.fixture
def proxied(world):
    """Tries to sign in from an address, as a proxy that is trusted tells it."""
    app = world.app(trusted_proxies=(ip_network("127.0.0.1"),))
    with TestClient(app, client=("127.0.0.1", 1)) as client:
        client.portal.call(client.app.state.services.reviewers.add, "boss", Role.ADMIN, PASSWORD)

        def attempt(address, password=PASSWORD, name="boss", device=None):
            client.cookies.clear()
            if device:
                client.cookies.set("mingjian_device", device, path="/console/sign-in")
            form, headers = {"name": name, "password": password}, {"x-forwarded-for": address}
            answer = client.post("/console/sign-in", data=form, headers=headers, follow_redirects=False)
            return answer.status_code, answer.cookies.get("mingjian_device")

        yield attempt


def test_guesses_from_elsewhere_do_not_lock_a_person_out(proxied):
    assert [proxied("198.51.100.1", "wrong")[0] for _ in range(6)] == [403] * 6
    assert proxied("198.51.100.1")[0] == 403  # where the guesses came from the right one is too late
    assert proxied("198.51.100.2")[0] == 303


def test_a_known_browser_gets_in_beside_whoever_guesses_from_its_address(proxied):
    _, device = proxied("198.51.100.1")
    assert [proxied("198.51.100.1", "wrong")[0] for _ in range(5)] == [403] * 5
    assert proxied("198.51.100.1")[0] == 403
    assert proxied("198.51.100.1", device=f"{device}x")[0] == 403
    assert proxied("198.51.100.1", device=device)[0] == 303


def test_a_known_browser_is_no_way_to_guess_on(proxied):
    _, device = proxied("198.51.100.1")
    assert [proxied("198.51.100.2", "wrong", device=device)[0] for _ in range(5)] == [403] * 5
    assert proxied("198.51.100.2", device=device)[0] == 403
    assert proxied("198.51.100.2")[0] == 303  # the browser is slowed, the person is not


def test_an_ipv6_client_has_no_more_tries_than_one_address(proxied):
    assert [proxied(f"2001:db8::{number}", "wrong")[0] for number in range(5)] == [403] * 5
    assert proxied("2001:db8::99")[0] == 403
    assert proxied("2001:db8:0:1::1")[0] == 303


def test_many_at_once_are_told_to_come_again_and_no_guess_passes(console):
    console.add("lin")
    wrong = {"name": "lin", "password": "wrong"}
    with ThreadPoolExecutor(30) as threads:
        sent = [threads.submit(console.client.post, "/console/sign-in", data=wrong) for _ in range(30)]
        answers = [one.result() for one in sent]
    assert {one.status_code for one in answers} == {403, 429}
    assert {one.headers.get("retry-after") for one in answers if one.status_code == 429} == {"2"}
    refused = len(entries(console, action="sign_in", outcome="refused"))
    assert refused == sum(one.status_code == 403 for one in answers)


def test_tries_at_once_are_within_the_limit_together():
    tries = Tries()
    limits = limits_of("boss", "198.51.100.1", device=None)
    assert [tries.take(limits, at=1) for _ in range(20)] == [True] * 5 + [False] * 15
    assert tries.take(limits, at=1 + 900_000_000)


def test_names_are_guessed_at_no_faster_from_many_addresses_and_addresses_at_many_names():
    tries = Tries()
    from_many = [tries.take(limits_of("boss", f"10.0.{n}.1", device=None), at=1) for n in range(200)]
    assert from_many == [True] * 100 + [False] * 100
    at_many = [tries.take(limits_of(f"n{n}", "198.51.100.1", device=None), at=1) for n in range(60)]
    assert at_many == [True] * 50 + [False] * 10


def test_an_office_that_signs_in_behind_one_address_is_not_slowed():
    tries = Tries()
    for number in range(200):
        limits = limits_of(f"n{number}", "198.51.100.1", device=None)
        assert tries.take(limits, at=1)
        tries.forgive(limits)


def test_a_disabled_person_is_out_at_once(console):
    console.sign_in("boss", Role.ADMIN)
    console.add("lin")
    console.open("/console/people")
    console.send("/console/people/disable")
    assert "已停用" in console.text
    answer = console.client.post("/v1/reviews:claim", json={"reviewer": "lin"})
    assert answer.status_code == 422

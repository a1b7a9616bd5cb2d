"""Signing in with the organisation's account, at a real OpenID provider."""

import re
import sys
from functools import partial
from html import unescape
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from oidc_provider_mock import _app as provider_app
from oidc_provider_mock import run_server_in_thread
from pydantic import ValidationError

from serving.errors import ConflictError, NotFoundError, ServingError
from serving.settings import Settings
from serving.store.reviewers import Role

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:get_jwt_config"),
]  # what the provider calls of its own library

LIN = "lin@example.com"
ATTEMPT = "__Host-mingjian_oidc"
PASSWORD = "correct horse battery"


class Provider:
    """The provider, and whom it knows."""

    def __init__(self, url):
        self.url = url

    def knows(self, sub, **claims):
        claims = {"email": LIN, "email_verified": True} | claims
        httpx2.put(f"{self.url}/users/{sub}", json=claims).raise_for_status()

    def settings(self, **changed):
        return {
            "oidc_issuer": self.url,
            "oidc_client_id": "mingjian",
            "oidc_client_secret": "secret",
            "console_url": "https://mingjian.example",
            **changed,
        }


@pytest.fixture(scope="module")
def running():
    with run_server_in_thread(require_nonce=True) as server:
        yield f"http://localhost:{server.server_port}"


@pytest.fixture
def provider(running):
    found = Provider(running)
    found.knows("s-1")
    return found


@pytest.fixture
def open_console(make_world, tmp_path):
    """A client of an app with some settings, and a reviewer without a password."""
    worlds = []

    def opened(**changed):
        worlds.append(make_world(tmp_path, **changed))
        client = worlds[-1].open()
        client.base_url = "https://mingjian.example"  # cookies of a console over HTTPS come back over HTTPS alone
        return client

    return opened


@pytest.fixture
def client(open_console, provider):
    with open_console(**provider.settings()) as client:
        add(client, LIN, f"{provider.url} s-1")
        yield client


def reviewers(client):
    return client.app.state.services.reviewers


def add(client, name, subject=None, role=Role.REVIEWER):
    client.portal.call(partial(reviewers(client).add, name, role, None, subject=subject))


def leave(client, path=""):
    """To the provider: the address that the browser is sent to."""
    answer = client.get("/console/oidc", params={"path": path}, follow_redirects=False)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def authorise(url, **form):
    """At the provider: the path that it sends the browser back to."""
    back = httpx2.post(url, data=form).headers["location"]
    assert back.startswith("https://mingjian.example/console/oidc/callback?")
    return back.removeprefix("https://mingjian.example")


def sign_in(client, sub="s-1", path=""):
    return client.get(authorise(leave(client, path), sub=sub), follow_redirects=False)


def said(answer):
    return unescape(answer.text)


def test_who_the_provider_vouches_for_is_signed_in_where_they_wanted_to_go(client):
    assert "/console/oidc?path=/console/queue" in said(client.get("/console/queue"))
    answer = sign_in(client, path="/console/queue")
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/queue")
    assert LIN in said(client.get("/console/queue"))
    assert ATTEMPT not in client.cookies


def test_the_way_there_asks_for_a_code_and_gives_no_secret_away(client):
    asked = {name: values[0] for name, values in parse_qs(urlsplit(leave(client)).query).items()}
    kept = client.cookies[ATTEMPT]
    assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
    assert asked["redirect_uri"] == "https://mingjian.example/console/oidc/callback"
    assert "openid" in asked["scope"].split()
    assert dict(parse_qs(kept))["code_verifier"][0] not in str(asked)


def test_who_is_nobody_here_is_not_let_in(client, provider):
    provider.knows("s-2", email="wu@example.com")
    answer = sign_in(client, "s-2")
    assert (answer.status_code, "wu@example.com" in said(answer)) == (403, True)
    assert "登录" in said(client.get("/console/queue"))


def test_who_was_disabled_is_not_let_in(client):
    client.portal.call(reviewers(client).disable, LIN)
    assert sign_in(client).status_code == 403


@pytest.mark.parametrize("verified", [False, None, "false"])
def test_an_email_that_nobody_verified_is_no_name(client, provider, verified):
    provider.knows("s-1", email_verified=verified)
    assert sign_in(client).status_code == 403


def test_a_name_that_is_given_to_somebody_else_is_not_theirs(client, provider):
    assert sign_in(client).status_code == 303
    provider.knows("s-2")
    assert sign_in(client, "s-2").status_code == 403
    assert sign_in(client).status_code == 303


def test_who_has_a_password_is_nobody_elsewhere_whatever_the_account_calls_itself(open_console, provider):
    provider.knows("evil", email="boss@example.com", preferred_username="boss")
    for claim, name in (("email", "boss@example.com"), ("preferred_username", "boss")):
        with open_console(**provider.settings(oidc_claim=claim)) as client:
            client.portal.call(reviewers(client).add, name, Role.ADMIN, PASSWORD)
            assert sign_in(client, "evil").status_code == 403
            assert [one.asking for one in client.portal.call(reviewers(client).all) if one.name == name] == [None]
            with pytest.raises(ConflictError):
                client.portal.call(reviewers(client).bind, name, f"{provider.url} evil")


def test_the_first_account_of_a_name_is_theirs_once_an_admin_says(client, provider):
    add(client, "wu@example.com")
    client.portal.call(reviewers(client).add, "boss", Role.ADMIN, PASSWORD)
    provider.knows("s-2", email="wu@example.com")
    provider.knows("s-3", email="wu@example.com")
    for sub, words in (("s-2", "请先由管理员在人员页确认"), ("s-3", "没有人用"), ("s-2", "请先由管理员在人员页确认")):
        answer = sign_in(client, sub)
        assert (answer.status_code, words in said(answer)) == (403, True)
    client.post("/console/sign-in", data={"name": "boss", "password": PASSWORD})
    page = client.get("/console/people").text
    subject = f"{provider.url} s-2"
    assert f"<code>{subject}</code>" in page
    form = {"csrf": re.search(r'name="csrf" value="([^"]+)"', page).group(1), "name": "wu@example.com"}
    assert client.post("/console/people/account", data=form | {"subject": subject}).status_code == 200
    assert (sign_in(client, "s-2").status_code, sign_in(client, "s-3").status_code) == (303, 403)
    client.portal.call(reviewers(client).bind, "wu@example.com", None)
    assert sign_in(client, "s-2").status_code == 403


def test_an_account_is_one_person_s(client, provider):
    with pytest.raises(ConflictError):
        add(client, "other", f"{provider.url} s-1")
    add(client, "wu")
    with pytest.raises(ConflictError):
        client.portal.call(reviewers(client).bind, "wu", f"{provider.url} s-1")
    with pytest.raises(NotFoundError):
        client.portal.call(reviewers(client).bind, "nobody", f"{provider.url} s-9")


def test_who_gets_a_password_signs_in_by_that_alone(client):
    client.portal.call(reviewers(client).set_password, LIN, PASSWORD)
    assert sign_in(client).status_code == 403
    form = {"name": LIN, "password": PASSWORD}
    assert client.post("/console/sign-in", data=form, follow_redirects=False).status_code == 303


def test_sign_ins_elsewhere_are_on_record(client, provider):
    provider.knows("s-2", email="wu@example.com")
    sign_in(client, "s-2")
    sign_in(client)
    told = client.get("/v1/audit", params={"action": "sign_in"}).json()["results"]
    assert [(one["outcome"], one["actor_kind"]) for one in told] == [("done", "person"), ("refused", "anonymous")]


def test_without_a_password_there_is_no_signing_in_by_one(client):
    answer = client.post("/console/sign-in", data={"name": LIN, "password": ""})
    assert answer.status_code == 403


def test_another_claim_may_hold_the_name(open_console, provider):
    provider.knows("s-1", preferred_username="lin", email_verified=False)
    with open_console(**provider.settings(oidc_claim="preferred_username")) as client:
        add(client, "lin")
        assert "lin 就是这个账号" in said(sign_in(client))
    with open_console(**provider.settings(oidc_claim="phone_number")) as client:
        assert "phone_number" in said(sign_in(client))


def test_a_name_may_be_in_the_user_info_alone(client, monkeypatch):
    monkeypatch.setattr(provider_app.OpenIDCode, "generate_user_info", lambda self, user, scope: {"sub": user.sub})
    assert sign_in(client).status_code == 303


def test_user_info_of_somebody_else_is_not_used(client, monkeypatch):
    monkeypatch.setattr(provider_app.OpenIDCode, "generate_user_info", lambda self, user, scope: {"sub": user.sub})
    others = {"sub": "s-9", "email": LIN, "email_verified": True}
    monkeypatch.setattr(provider_app, "_user_claims_for_scope", lambda user, scope: others)
    assert sign_in(client).status_code == 403


def test_who_says_no_there_is_not_let_in_here(client):
    assert client.get(authorise(leave(client), action="deny")).status_code == 403


def test_a_way_back_is_good_once_and_in_the_browser_that_left(client, open_console, provider):
    back = authorise(leave(client), sub="s-1")
    kept = client.cookies[ATTEMPT]
    client.cookies.clear()
    assert client.get(back).status_code == 403  # another browser, or after too long
    client.cookies.set(ATTEMPT, kept)
    assert client.get(back, follow_redirects=False).status_code == 303
    client.cookies.set(ATTEMPT, kept)
    assert client.get(back).status_code == 403  # the code was used


@pytest.mark.parametrize("spoilt", [{"nonce": "other"}, {"state": "other"}, {"nonce": ""}, {"code_verifier": ""}])
def test_a_token_of_another_sign_in_is_refused(client, spoilt):
    back = authorise(leave(client), sub="s-1")
    kept = {name: values[0] for name, values in parse_qs(client.cookies[ATTEMPT]).items()}
    client.cookies.clear()
    client.cookies.set(ATTEMPT, str(httpx2.QueryParams(kept | spoilt)))
    assert client.get(back).status_code == 403


def test_another_issuer_than_the_one_that_was_set_is_refused(open_console, provider):
    with open_console(**provider.settings(oidc_issuer=f"{provider.url}/")) as client:
        add(client, LIN, f"{provider.url} s-1")
        assert sign_in(client).status_code == 403


def test_a_provider_that_does_not_answer_is_said_to(open_console, provider):
    with open_console(**provider.settings(oidc_issuer="http://localhost:1")) as client:
        answer = client.get("/console/oidc")
        assert (answer.status_code, "没有应答" in said(answer)) == (503, True)


def test_without_a_provider_nothing_speaks_of_one(console):
    assert "/console/oidc" not in console.client.get("/console/sign-in").text
    assert console.client.get("/console/oidc").status_code == 404


def test_a_form_is_sent_after_signing_in_beside_it(client):
    form = {"choice": "overturn", "text": "我的说明"}
    page = client.post("/console/reviews/r/decide", data=form)
    assert (page.status_code, 'target="_blank"' in page.text) == (401, True)
    kept = {"path": "/console/reviews/r/decide", "form": '{"choice": ["overturn"], "text": ["我的说明"]}'}
    assert client.post("/console/sign-in/again", data=kept).status_code == 401
    sign_in(client)
    again = client.post("/console/sign-in/again", data=kept)
    assert 'action="/console/reviews/r/decide"' in again.text
    assert 'name="text" value="我的说明"' in again.text


@pytest.mark.parametrize("url", ["http://accounts.example.com", "accounts.example.com", "ftp://localhost"])
def test_a_provider_is_asked_over_tls_alone(url, provider):
    with pytest.raises(ValidationError, match="expected an https:// URL"):
        Settings(**provider.settings(oidc_issuer=url))


@pytest.mark.parametrize("missing", ["oidc_issuer", "oidc_client_id", "oidc_client_secret", "console_url"])
def test_what_belongs_together_is_set_together(provider, missing):
    with pytest.raises(ValidationError, match="go together"):
        Settings(**provider.settings(**{missing: None}))


def test_a_server_without_the_library_says_what_to_install(open_console, provider, monkeypatch):
    monkeypatch.setitem(sys.modules, "serving.oidc", None)
    monkeypatch.setitem(sys.modules, "authlib", None)
    with pytest.raises(ServingError, match=r"pip install .*oidc"), open_console(**provider.settings()):
        pass

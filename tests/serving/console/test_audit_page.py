"""The audit log in the console, and what the console leaves in it."""

import re

import pytest

from serving.store.reviewers import Role

pytestmark = pytest.mark.slow

USER = "planted-secret-user"


def test_console_exports_and_refused_pages_are_told_and_admins_read_them(console):
    console.sign_in("lin", Role.OPS)
    console.client.get("/console/users.csv?tier=koc")
    assert console.client.get("/console/audit").status_code == 403
    console.client.cookies.clear()
    console.sign_in("boss", Role.ADMIN)
    console.client.delete(f"/v1/users/{USER}")
    text = console.open("/console/audit")
    for word in ("导出", "koc", "/console/audit", "testclient", "open access", "lin"):
        assert word in text
    assert USER not in text
    found = console.send("/console/audit/find", user_id=USER)
    assert ("删除用户" in found, found.count("open access")) == (True, 1)
    assert "没有符合条件的记录" in console.send("/console/audit/find", user_id="nobody")
    assert len(re.findall("koc", console.open("/console/audit?action=export"))) == 1
    (exported,) = console.client.get("/v1/audit", params={"action": "export"}).json()["results"]
    assert exported["actor_kind"] == "person"


def test_the_log_goes_on_by_a_cursor_in_the_console(console):
    console.sign_in("boss", Role.ADMIN)
    for number in range(60):
        console.client.delete(f"/v1/users/u{number}")
    text = console.open("/console/audit?action=user.erase")
    more = re.search(r'href="(/console/audit\?[^"]+cursor=[^"]+)"', console.page.text).group(1).replace("&amp;", "&")
    assert text.count("open access") == 50
    assert console.open(more).count("open access") == 10


def test_console_requests_are_counted_by_their_template(console):
    console.sign_in()
    console.open("/console/queue")
    console.client.get("/console/users/u-7")
    console.client.get("/console/static/console.css")
    console.client.put("/console/queue")
    text = console.client.get("/metrics").text
    routes = set(re.findall(r'mingjian_requests_total\{[^}]*route="(/console[^"]*)"', text))
    templates = {"/console/sign-in", "/console/queue", "/console/users/{user_id}", "/console/static"}
    assert templates <= routes
    assert "unmatched" not in text

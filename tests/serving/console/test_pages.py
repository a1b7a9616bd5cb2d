"""The pages of the console over HTTP."""

import re
from datetime import timedelta
from html import unescape
from urllib.parse import quote

import pytest

from serving.console.languages import language
from serving.store.reviewers import Role

PAGES = ["reviews", "queue", "users", "overview", "models", "policy", "people", "audit", "design"]


@pytest.mark.parametrize("page", PAGES)
def test_every_page_asks_to_sign_in_and_then_opens(console, page):
    assert "登录" in console.open(f"/console/{page}")
    console.sign_in("boss", Role.ADMIN)
    console.open(f"/console/{page}")
    assert 'class="who">boss' in console.page.text
    policy = console.page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<(script|style)>|\son\w+=|\sstyle=", console.page.text)


@pytest.mark.parametrize("page", PAGES)
def test_every_page_speaks_english_without_a_word_of_chinese(console, page):
    console.sign_in("boss", Role.ADMIN)
    console.open("/console/reviews")
    console.send("/console/language")
    text = console.open(f"/console/{page}")
    chinese = re.sub(r"明鉴|中文|#.*|[^\n]*=.*", "", text) if page == "policy" else re.sub("明鉴|中文", "", text)
    assert not re.search(r"[\u4e00-\u9fff]", chinese), re.findall(r".*[\u4e00-\u9fff].*", chinese)[:5]
    console.send("/console/language")
    assert re.search(r"[\u4e00-\u9fff]", console.text)


def test_users_are_listed_by_tier_and_stage(console):
    users = [f"u{number:02}" for number in range(60)]
    opened = {"event": "open", "occurred_at": "2025-04-30T00:00:00Z"}
    events = [opened | {"event_id": one, "user_id": one} for one in users]
    console.client.post("/v1/events", json={"events": events})
    console.client.portal.call(console.client.app.state.services.kpis.roll, console.world.clock())
    console.sign_in("boss", Role.ADMIN)
    assert "u00" in console.open("/console/users?tier=ordinary")
    following = unescape(re.search(r'href="(/console/users[^"]+cursor=[^"]+)"', console.page.text).group(1))
    assert "u59" in console.open(following)
    assert "没有这样的用户" in console.open("/console/users?tier=ordinary&stage=advocate")


def test_users_of_a_tier_are_written_as_csv_where_no_id_is_a_formula(console):
    opened = {"event": "open", "occurred_at": "2025-04-30T00:00:00Z"}
    events = [opened | {"event_id": one, "user_id": one} for one in ("=1+1", "u1")]
    console.client.post("/v1/events", json={"events": events})
    console.client.portal.call(console.client.app.state.services.kpis.roll, console.world.clock())
    console.sign_in("boss", Role.ADMIN)
    console.open("/console/users?tier=ordinary&stage=explore")
    link = unescape(re.search(r'href="(/console/users.csv[^"]+)"', console.page.text).group(1))
    header, *rows = console.client.get(link).text.splitlines()
    assert header == "\ufeffuser_id,tier,stage,probability,withheld"
    assert [row.split(",")[:2] for row in rows] == [["'=1+1", "ordinary"], ["u1", "ordinary"]]


def test_the_models_page_shows_how_scores_are_spread(console):
    opened = {"event": "open", "user_id": "u1", "event_id": "e1", "occurred_at": "2025-04-30T00:00:00Z"}
    console.client.post("/v1/events", json={"events": [opened]})
    console.client.portal.call(console.client.app.state.services.kpis.roll, console.world.clock())
    console.sign_in("boss", Role.ADMIN)
    console.open("/console/models")
    image, said = re.search(r'src="(/console/overview/charts/churn.svg)" alt="([^"]+)"', console.page.text).groups()
    assert sum(int(one.rpartition(" ")[2]) for one in said.split(", ")) == 1
    assert console.client.get(image).text.startswith("<svg")


def test_an_admin_adds_people_and_a_reviewer_may_not(console):
    console.sign_in("boss", Role.ADMIN)
    console.open("/console/people")
    console.send("/console/people/add", name="wu", role="reviewer")
    password = re.search(r"<code>([\w-]+)</code>", console.page.text).group(1)
    console.send("/console/sign-out")
    console.send("/console/sign-in", name="wu", password=password)
    console.open("/console/people", status=403)
    token = re.search(r'name="csrf" value="([^"]+)"', console.client.get("/console/queue").text).group(1)
    data = {"csrf": token, "name": "x", "role": "admin"}
    assert console.client.post("/console/people/add", data=data).status_code == 403


def test_a_policy_is_checked_stored_activated_and_rolled_back(console):
    console.sign_in("boss", Role.ADMIN)
    console.open("/console/policy")
    shipped = console.client.app.state.services.policies.shipped
    bad = shipped.content.replace("n_followers >= 20000", "followers >= 20000")
    console.send("/console/policy/check", status=422, content=bad, why="")
    assert "处问题" in console.text
    easy = shipped.content.replace("n_followers >= 1000", "n_followers >= 10")
    console.send("/console/policy/check", content=easy, why="")
    assert "n_followers >= 10" in console.text
    form = re.search(r'name="csrf" value="([^"]+)"', console.page.text).group(1)
    console.client.put("/v1/users/u1", json={"n_followers": 50})
    days = [(day, f"2025-04-{day:02}T04:00:00Z") for day in range(10, 30)]
    posts = [{"event_id": f"e{day}", "user_id": "u1", "event": "publish", "occurred_at": at} for day, at in days]
    console.client.post("/v1/events", json={"events": posts})
    console.page = console.client.post("/console/policy/simulate", data={"csrf": form, "content": easy})
    assert "重放 1 位用户" in console.text
    assert "分层或阶段改变 1 位" in console.text
    data = {"csrf": form, "content": easy, "why": "春季活动", "activate": "1"}
    console.page = console.client.post("/console/policy/store", data=data)
    active = console.client.app.state.services.policies.active.policy.version
    assert active != shipped.version
    assert "春季活动" in console.text
    console.send("/console/policy/rollback", why="撤回")
    assert console.client.app.state.services.policies.active.policy.version == shipped.version


def test_a_policy_is_stored_with_a_reason_alone_and_nothing_that_was_filled_in_is_lost(console):
    console.sign_in("boss", Role.ADMIN)
    console.open("/console/policy")
    shipped = console.client.app.state.services.policies.shipped
    easy = shipped.content.replace("n_followers >= 1000", "n_followers >= 10")
    console.send("/console/policy/check", content=easy, why="春季活动")
    assert 'value="春季活动"' in console.page.text
    csrf = re.search(r'name="csrf" value="([^"]+)"', console.page.text).group(1)
    for verb, fields in {
        "store": {"content": easy, "activate": "1"},
        "activate": {"version": shipped.version},
        "shadow": {"version": shipped.version},
        "rollback": {},
    }.items():
        console.page = console.client.post(f"/console/policy/{verb}", data={"csrf": csrf, "why": "  "} | fields)
        assert console.page.status_code == 422
        assert "请写明原因" in console.text
        assert "检查通过" not in console.text
    console.page = console.client.post("/console/policy/store", data={"csrf": csrf, "why": "", "content": easy})
    assert easy in unescape(console.page.text)
    console.page = console.client.post("/console/policy/rollback", data={"csrf": csrf, "why": "撤回"})
    assert (console.page.status_code, "此前没有启用过别的策略" in console.text) == (409, True)
    assert 'value="撤回"' in console.page.text
    assert console.client.app.state.services.policies.active.policy.version == shipped.version


def test_a_user_s_page_shows_what_is_known_and_an_admin_erases(console):
    user_id = "u/7 ü"
    path = f"/console/users/{quote(user_id, safe='')}"
    event = {"event_id": "e", "user_id": user_id, "event": "open", "occurred_at": "2025-04-30T00:00:00Z"}
    console.client.post("/v1/events", json={"events": [event]})
    console.client.post("/v1/actions:assign", json={"batch_id": "b", "user_ids": [user_id]})
    console.sign_in("boss", Role.ADMIN)
    console.open("/console/users")
    console.send("/console/users/find", user_id=user_id)
    assert user_id in console.text
    assert "近 26 周中活跃 1 天" in console.page.text
    assert "newcomer_guide" in console.text
    console.send(f"{path}/erase", status=422, confirm="u")
    console.open(path)
    console.send(f"{path}/erase", confirm=user_id)
    console.open(path, status=404)


def test_a_user_s_page_shows_what_they_would_see_next_without_putting_it_on_record(console):
    console.world.registry.release_recommender()
    catalogues = console.client.app.state.services.catalogues
    console.eventually(lambda: catalogues.live is not None)
    collected = {"event": "collect", "note_id": "tea", "occurred_at": "2025-04-30T00:00:00Z"}
    event = collected | {"event_id": "e", "user_id": "u1"}
    console.client.post("/v1/events", json={"events": [event]})
    console.client.put("/v1/notes/coffee", json={"title": "手冲咖啡", "body": "香"})
    console.sign_in("boss", Role.ADMIN)
    text = console.open("/console/users/u1")
    assert "手冲咖啡" in text
    assert "因为你收藏了一篇相似的笔记" in text
    console.world.clock.now += timedelta(seconds=1)
    assert console.client.get("/v1/reports/recommendations").json()["results"] == []


def test_the_overview_shows_kpis_and_draws_them(console):
    read = {"user_id": "u1", "event": "read", "value": 60}
    days = [(day, f"2025-04-{day:02}T04:00:00Z") for day in range(10, 30)]
    events = [read | {"event_id": f"e{day}", "occurred_at": at} for day, at in days]
    console.client.post("/v1/events", json={"events": events})
    console.client.portal.call(console.client.app.state.services.kpis.roll, console.world.clock())
    console.sign_in("boss", Role.ADMIN)
    text = console.open("/console/overview?days=90&segment=all")
    assert "日活跃用户" in text
    for image in set(re.findall(r'src="(/console/overview/charts/[^"]+)"', console.page.text)):
        drawn = console.client.get(unescape(image))
        assert drawn.headers["content-type"] == "image/svg+xml"
        assert drawn.text.startswith("<svg")
    exported = console.client.get("/console/overview.csv?days=30")
    assert exported.text.splitlines()[0].startswith("\ufeffday,active_users")
    assert len(exported.text.splitlines()) > 20


def test_numbers_and_instants_by_locale():
    chinese, english = language("zh"), language("en")
    assert (chinese.number(12345.678), english.percent(0.1234)) == ("12,345.68", "12.3%")
    assert chinese.instant(0).startswith("1970/1/1 08:00")
    assert english.instant(0).startswith("1 Jan 1970")
    assert chinese.since(0, 3 * 3_600_000_000) == "3 小时"

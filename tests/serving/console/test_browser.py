"""The console in a real browser: by keyboard, without JavaScript, two at once, hostile notes, and accessible."""

import re
import shutil
from contextlib import ExitStack, contextmanager
from datetime import timedelta

import httpx2
import pytest
from anyio.from_thread import start_blocking_portal
from axe_core_python.sync_playwright import Axe
from oidc_provider_mock import run_server_in_thread
from playwright.sync_api import expect, sync_playwright
from pydantic import Secret

from serving.reviewers import Reviewers
from serving.store.reviewers import Role
from serving.store.stores import open_stores

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:get_jwt_config"),
]  # what the OpenID provider calls of its library

PASSWORD = "correct horse battery"
PAGES = ["reviews", "queue", "users", "overview", "models", "policy", "people", "audit", "design"]


@pytest.fixture(scope="module")
def browser(need):
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        need("no Chromium on this machine's path")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def site(world, listen, eventually):
    """A served console with a quality champion, and people who may sign in."""
    world.registry.release()
    world.registry.release_quality()
    with start_blocking_portal() as portal:  # in a thread of its own: this one is the browser's
        portal.call(add_people, world.settings)
    app = world.app(review_sample_share=0, review_second_share=0, kpi_s=0.1)
    with listen(app) as place:
        yield Site(f"http://{place}", eventually, world)


async def add_people(settings):
    async with open_stores(settings) as stores:
        reviewers = Reviewers(stores.reviewers, clock=lambda: 0)
        for name, role in (("lin", Role.REVIEWER), ("wu", Role.REVIEWER), ("boss", Role.ADMIN)):
            await reviewers.add(name, role, PASSWORD)


async def add_account(settings, subject):
    async with open_stores(settings) as stores:
        await Reviewers(stores.reviewers, clock=lambda: 0).add("lin@a.example", Role.REVIEWER, None, subject=subject)


class Site:
    def __init__(self, url, eventually, world):
        self.url, self.eventually, self.world = url, eventually, world

    def put(self, note_id, **note):
        note = {"title": "微信", "body": f"微信微信微信微信{note_id}", "author_id": "ann"} | note
        assert httpx2.put(f"{self.url}/v1/notes/{note_id}", json=note).status_code == 200

    def reviews(self, state="open"):
        return httpx2.get(f"{self.url}/v1/reviews", params={"state": state, "limit": 100}).json()["results"]

    def wait(self, n):
        self.eventually(lambda: len(self.reviews()) == n)


@pytest.fixture
def open_page(browser, site):
    """Opens a page for somebody who is signed in; fails the test for any error that the page's scripts raise."""
    problems = []
    with ExitStack() as stack:

        @contextmanager
        def context(**options):
            made = browser.new_context(**options)
            try:
                yield made
            finally:
                made.close()

        def opened(name="lin", **options):
            page = stack.enter_context(context(**options)).new_page()
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.on("console", lambda said: problems.append(said.text) if "Content Security" in said.text else None)
            page.on("dialog", lambda dialog: (problems.append(dialog.message), dialog.dismiss()))
            page.goto(f"{site.url}/console")
            page.get_by_label("姓名").fill(name)
            page.get_by_label("密码").fill(PASSWORD)
            page.get_by_role("button", name="登录").click()
            expect(page.get_by_role("heading", name="审核台")).to_be_visible()
            page.wait_for_load_state()  # a key that is hit before the scripts are there says nothing
            return page

        yield opened
    assert problems == []


def test_ten_reviews_by_keyboard_as_the_screen_says(site, open_page):
    for number in range(10):
        site.put(f"n{number}")
    site.wait(10)
    page = open_page()
    page.keyboard.press("n")
    expect(page.get_by_role("article")).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("撤销上一条决定")
    page.keyboard.press("Escape")
    ready = page.locator("#decide[data-ready]")
    for number in range(1, 10):
        ready.wait_for()
        page.keyboard.press("12"[number % 2])
        expect(page.get_by_text(f"今天已审 {number} 条")).to_be_visible()
    ready.wait_for()
    page.keyboard.press("u")
    expect(page.get_by_text("今天已审 8 条")).to_be_visible()
    ready.wait_for()
    page.keyboard.press("2")
    expect(page.get_by_text("今天已审 9 条")).to_be_visible()
    page.get_by_label("说明（可选）").fill("5 条以内")
    expect(page.get_by_text("今天已审 9 条")).to_be_visible()  # what is typed decides nothing
    page.get_by_role("article").click()
    ready.wait_for()
    page.keyboard.press("1")
    expect(page.get_by_text("没有等待审核的笔记")).to_be_visible()
    assert len(site.reviews("decided")) == 10
    assert "5 条以内" in {one["judgement"]["text"] for one in site.reviews("decided")}


def test_a_key_that_is_held_or_tapped_fast_decides_one_note_alone(site, open_page):
    for number in range(6):
        site.put(f"n{number}")
    site.wait(6)
    page = open_page()
    page.keyboard.press("n")
    page.locator("#decide[data-ready]").wait_for()
    for _ in range(12):
        page.keyboard.down("2")  # from the second on as a key that repeats
    expect(page.get_by_text("今天已审 1 条")).to_be_visible()
    for _ in range(12):
        page.keyboard.down("2")
    page.keyboard.up("2")
    page.locator("#decide[data-ready]").wait_for()
    for _ in range(3):
        page.keyboard.press("1")
    expect(page.get_by_text("今天已审 2 条")).to_be_visible()
    page.locator("#decide[data-ready]").wait_for()
    assert len(site.reviews("decided")) == 2


SIZES = [(1366, 650), (1280, 800), (1280, 720), (1024, 576), (853, 480), (640, 400), (390, 844)]


def test_the_panel_never_hides_the_note(site, open_page):
    site.put("n", title="长", body="第一行\n" + "微信\n" * 200 + "最后一行")
    site.wait(1)
    page = open_page()
    page.keyboard.press("n")
    body, panel = page.locator(".body"), page.locator("#decide")
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        page.evaluate("scrollTo(0, 0)")
        top, end = body.bounding_box()["y"], min(panel.bounding_box()["y"], height)
        assert end - top > height * 0.3, (width, height)  # of 1024 x 576: 173 pixels, the note's first lines
        page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        note, below = page.get_by_role("article").bounding_box(), panel.bounding_box()
        assert note["y"] + note["height"] <= below["y"] + 1, (width, height)  # its last line is above the panel
        assert body.evaluate("own => own.scrollHeight <= own.clientHeight"), (width, height)  # it scrolls with the page


def test_two_reviewers_at_once_never_have_the_same_note(site, open_page):
    site.put("n0")
    site.wait(1)
    first, second = open_page("lin"), open_page("wu")
    first.get_by_role("button", name="领取下一条").click()
    expect(first.get_by_role("article")).to_be_visible()
    second.keyboard.press("n")
    expect(second.get_by_role("article")).not_to_be_visible()
    site.world.clock.now += timedelta(minutes=11)  # the first one's lease is over
    second.goto(f"{site.url}/console/reviews")
    second.get_by_role("button", name="领取下一条").click()
    expect(second.get_by_role("article")).to_be_visible()
    first.locator("#decide[data-ready]").wait_for()
    first.keyboard.press("1")
    expect(first.get_by_role("alert")).to_contain_text("已不在您手里")
    second.locator("#decide[data-ready]").wait_for()
    second.keyboard.press("2")
    expect(second.get_by_text("今天已审 1 条")).to_be_visible()
    (decided,) = site.reviews("decided")
    assert decided["judgement"]["outcome"] == "overturn"


@pytest.mark.parametrize(
    ("title", "body"),
    [
        ("<script>alert(1)</script>", "<img src=x onerror=alert(2)>\"'><svg onload=alert(3)>微信微信微信微信微信"),
        ("长", "微信" * 10_000),
        ("مرحبا \u202e微信", "مرحبا بالعالم \u202e 微信微信微信微信微信微信"),
    ],
)
def test_a_hostile_note_is_shown_as_it_is_and_decided(site, open_page, title, body):
    site.put("n", title=title, body=body)
    site.wait(1)
    page = open_page()
    page.keyboard.press("n")
    shown = page.locator(".body").text_content()
    assert shown == body
    assert page.locator("#note-title").text_content() == title
    assert page.evaluate("document.scrollingElement.scrollWidth <= window.innerWidth")
    page.locator("#decide[data-ready]").wait_for()
    page.keyboard.press("1")
    expect(page.get_by_text("今天已审 1 条")).to_be_visible()


def test_the_language_is_switched_and_stays(site, open_page):
    page = open_page()
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("heading", name="Desk")).to_be_visible()
    page.goto(f"{site.url}/console/queue")
    expect(page.get_by_role("heading", name="Queue")).to_be_visible()
    assert page.locator("html").get_attribute("lang") == "en"
    page.get_by_role("button", name="中文").click()
    expect(page.get_by_role("heading", name="队列")).to_be_visible()


def test_without_javascript_everything_works(site, open_page):
    site.put("n0")
    site.put("n1")
    site.wait(2)
    page = open_page(java_script_enabled=False)
    page.get_by_role("button", name="领取下一条").click()
    page.get_by_role("button", name=re.compile("推翻")).click()
    expect(page.get_by_text("今天已审 1 条")).to_be_visible()
    page.get_by_role("button", name=re.compile("撤销")).click()
    expect(page.get_by_text("今天已审 0 条")).to_be_visible()
    page.get_by_role("button", name=re.compile("放回")).click()
    expect(page.get_by_role("article")).to_be_visible()


def test_a_session_that_ends_mid_decision_loses_nothing(site, open_page):
    site.put("n0")
    site.wait(1)
    page = open_page()
    page.keyboard.press("n")
    page.get_by_label("说明（可选）").fill("写了很久的说明")
    page.context.clear_cookies()
    page.get_by_role("button", name=re.compile("维持")).click()
    expect(page.get_by_text("原样保留")).to_be_visible()
    page.get_by_label("姓名").fill("lin")
    page.get_by_label("密码").fill(PASSWORD)
    page.get_by_role("button", name="登录").click()
    page.get_by_role("button", name="继续提交").click()
    expect(page.get_by_text("今天已审 1 条")).to_be_visible()
    assert site.reviews("decided")[0]["judgement"]["text"] == "写了很久的说明"


def test_the_organisation_s_account_signs_in_and_loses_nothing_either(browser, world, listen, free_port, eventually):
    world.registry.release()
    world.registry.release_quality()
    with start_blocking_portal() as portal:
        portal.call(add_people, world.settings)
    with run_server_in_thread() as provider:  # on localhost: another site than the console's
        issuer, url = f"http://localhost:{provider.server_port}", f"http://127.0.0.1:{free_port}"
        httpx2.put(f"{issuer}/users/s-1", json={"email": "lin@a.example", "email_verified": True}).raise_for_status()
        with start_blocking_portal() as portal:
            portal.call(add_account, world.settings, f"{issuer} s-1")
        oidc = {"oidc_issuer": issuer, "oidc_client_id": "m", "oidc_client_secret": Secret("s"), "console_url": url}
        app = world.app(review_sample_share=0, review_second_share=0, **oidc)
        with listen(app, free_port) as place, browser.new_context() as context:
            site = Site(f"http://{place}", eventually, world)
            site.put("n0")
            site.wait(1)
            page = context.new_page()
            page.goto(f"{url}/console/queue")
            assert Axe().run(page)["violations"] == []
            page.get_by_role("link", name="用单位账号登录").click()
            vouch(page)
            expect(page.get_by_role("heading", name="队列")).to_be_visible()
            page.goto(f"{url}/console/reviews")
            page.keyboard.press("n")
            page.get_by_label("说明（可选）").fill("写了很久的说明")
            context.clear_cookies()
            page.get_by_role("button", name=re.compile("维持")).click()
            assert Axe().run(page)["violations"] == []
            with context.expect_page() as opened:
                page.get_by_role("link", name="在新标签页用单位账号登录").click()
            vouch(opened.value)
            expect(opened.value.get_by_role("heading", name="审核台")).to_be_visible()
            page.get_by_role("button", name="登录好了，继续").click()
            page.get_by_role("button", name="继续提交").click()
            expect(page.get_by_text("今天已审 1 条")).to_be_visible()
            assert site.reviews("decided")[0]["judgement"]["text"] == "写了很久的说明"


def vouch(page):
    """Sign in at the provider."""
    page.get_by_placeholder("sub").fill("s-1")
    page.get_by_role("button", name="Authorize").click()


@pytest.fixture
def filled(site):
    """Something on every page."""
    for number in range(3):
        site.put(f"n{number}", topics=["美食"], category="food")
    site.wait(3)
    events = [
        {"event_id": f"e{day}-{user}", "user_id": f"u{user}", "event": "read", "value": 60 * user}
        | {"occurred_at": f"2025-04-{day:02}T04:00:00Z"}
        for day in range(1, 31)
        for user in range(1, 1 + day // 3)
    ]
    httpx2.post(f"{site.url}/v1/events", json={"events": events})
    httpx2.post(f"{site.url}/v1/appeals", json={"note_id": "n1", "author_id": "ann", "text": "我没有打广告"})
    httpx2.post(f"{site.url}/v1/actions:assign", json={"batch_id": "b", "user_ids": [f"u{n}" for n in range(1, 9)]})
    site.world.clock.now += timedelta(seconds=1)
    site.eventually(lambda: httpx2.get(f"{site.url}/v1/kpis").json()["days"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_is_for_everyone_and_fits(site, open_page, filled, scheme, width):
    page = open_page("boss", color_scheme=scheme, viewport={"width": width, "height": 900})
    page.keyboard.press("n")
    expect(page.get_by_role("article")).to_be_visible()
    axe = Axe()
    for name in [*PAGES, "users/u1"]:
        page.goto(f"{site.url}/console/{name}")
        found = [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in axe.run(page)["violations"]]
        assert found == [], name
        assert page.evaluate("document.scrollingElement.scrollWidth <= window.innerWidth"), name


def test_a_page_weighs_little(site, open_page, filled):
    page, weighed = open_page("boss"), []
    page.on("response", lambda answer: weighed.append(len(answer.body())))
    for name in PAGES:
        weighed.clear()
        page.goto(f"{site.url}/console/{name}", wait_until="networkidle")
        assert 0 < sum(weighed) < 200_000, name

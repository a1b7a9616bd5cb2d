"""Which role opens which page and sends which form: all of them, for each."""

import re

import pytest
from fastapi.routing import iter_route_contexts

from serving.store.reviewers import Role

pytestmark = pytest.mark.slow

PASSWORD = "correct horse battery"
REVIEWER, OPS, LEAD, ADMIN = Role
EVERYONE, REVIEW, COMMUNITY = {*Role}, {REVIEWER, LEAD, ADMIN}, {OPS, LEAD, ADMIN}
MAY = {
    ("GET", "/console/reviews"): REVIEW,
    ("POST", "/console/reviews/claim"): REVIEW,
    ("POST", "/console/reviews/{review_id}/decide"): REVIEW,
    ("POST", "/console/reviews/{review_id}/renew"): REVIEW,
    ("POST", "/console/reviews/{review_id}/skip"): REVIEW,
    ("POST", "/console/reviews/{review_id}/undo"): REVIEW,
    ("GET", "/console/queue"): REVIEW,
    ("GET", "/console/queue/{review_id}"): REVIEW,
    ("POST", "/console/queue/decide"): {LEAD, ADMIN},
    ("GET", "/console/users"): COMMUNITY,
    ("POST", "/console/users/find"): COMMUNITY,
    ("GET", "/console/users.csv"): COMMUNITY,
    ("GET", "/console/users/{user_id}"): COMMUNITY,
    ("POST", "/console/users/{user_id}/erase"): {ADMIN},
    ("GET", "/console/overview"): COMMUNITY,
    ("GET", "/console/overview/charts/{name}.svg"): COMMUNITY,
    ("GET", "/console/overview.csv"): COMMUNITY,
    ("GET", "/console/models"): EVERYONE,
    ("GET", "/console/policy"): EVERYONE,
    ("POST", "/console/policy/check"): {ADMIN},
    ("POST", "/console/policy/simulate"): {ADMIN},
    ("POST", "/console/policy/store"): {ADMIN},
    ("POST", "/console/policy/activate"): {ADMIN},
    ("POST", "/console/policy/shadow"): {ADMIN},
    ("POST", "/console/policy/rollback"): {ADMIN},
    ("GET", "/console/people"): {LEAD, ADMIN},
    ("POST", "/console/people/add"): {ADMIN},
    ("POST", "/console/people/role"): {ADMIN},
    ("POST", "/console/people/account"): {ADMIN},
    ("POST", "/console/people/disable"): {ADMIN},
    ("GET", "/console/audit"): {ADMIN},
    ("POST", "/console/audit/find"): {ADMIN},
    ("GET", "/console/design"): EVERYONE,
    ("POST", "/console/sign-out/everywhere"): EVERYONE,
}
OPEN = {"/console", "/console/sign-in", "/console/sign-in/again", "/console/sign-out", "/console/language",
        "/console/oidc", "/console/oidc/callback", "/console/{path:path}"}  # fmt: skip


def test_every_page_and_form_is_open_or_its_roles_are_written_down_here(console):
    pages = {
        (method, one.path)
        for one in iter_route_contexts(console.client.app.routes)
        if one.path.startswith("/console") and one.path not in OPEN
        for method in (one.methods or set()) - {"HEAD"}
    }
    assert pages == MAY.keys()


@pytest.mark.parametrize("role", Role)
def test_a_role_opens_its_pages_and_no_other(console, role):
    console.sign_in("lin", role)
    csrf = re.search(r'name="csrf" value="([^"]+)"', console.page.text).group(1)
    last = ("POST", "/console/sign-out/everywhere")
    for method, path in sorted(MAY, key=lambda one: one == last):
        filled = path.format(review_id="0" * 24, user_id="u1", name="active")
        data = {"csrf": csrf} if method == "POST" else None
        answer = console.client.request(method, filled, data=data, follow_redirects=False)
        assert (answer.status_code != 403) == (role in MAY[method, path]), (method, path, answer.status_code)


@pytest.mark.parametrize(("role", "links"), [
    (REVIEWER, "reviews queue models policy"),
    (OPS, "users overview models policy"),
    (LEAD, "reviews queue users overview models policy people"),
    (ADMIN, "reviews queue users overview models policy people audit"),
])  # fmt: skip
def test_work_begins_where_a_role_has_some_and_pages_lead_nowhere_else(console, role, links):
    console.sign_in("lin", role)
    assert console.page.url.path == f"/console/{'overview' if role is OPS else 'reviews'}"
    nav = re.search(r"<nav.*?</nav>", console.page.text, re.DOTALL).group(0)
    assert re.findall(r'href="/console/(\w+)"', nav) == links.split()
    console.open("/console")
    assert console.page.url.path == f"/console/{'overview' if role is OPS else 'reviews'}"


@pytest.mark.parametrize("role", Role)
def test_reviews_are_taken_over_the_api_for_who_may_review(console, role):
    console.add("lin", role)
    answer = console.client.post("/v1/reviews:claim", json={"reviewer": "lin"})
    assert (answer.status_code == 200) == (role in REVIEW)

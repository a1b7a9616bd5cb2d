"""The console over HTTP, as a browser without JavaScript uses it."""

import re
from html import unescape

import pytest

from serving.store.reviewers import Role

SPAM = {"title": "微信", "body": "微信微信微信微信", "author_id": "ann"}
PASSWORD = "correct horse battery"


@pytest.fixture
def console(world, eventually):
    world.registry.release()
    world.registry.release_quality()
    with world.open(review_sample_share=0, review_second_share=0) as client:
        client.follow_redirects = True
        yield Console(client, eventually, world)


class Console:
    """A browser, in a way: it follows links and sends forms with all their hidden fields."""

    def __init__(self, client, eventually, world):
        self.client, self.eventually, self.world = client, eventually, world
        self.page = None

    def add(self, name, role=Role.REVIEWER):
        self.client.portal.call(self.client.app.state.services.reviewers.add, name, role, PASSWORD)

    def sign_in(self, name="lin", role=Role.REVIEWER):
        self.add(name, role)
        self.open("/console/sign-in")
        self.send("/console/sign-in", name=name, password=PASSWORD)
        return self

    def open(self, path, status=200):
        self.page = self.client.get(path)
        assert self.page.status_code == status, self.page.text
        return self.text

    def send(self, action, status=200, **fields):
        """Send the form of the page that has this action."""
        form = next(
            (one for one in re.findall(r"<form.*?</form>", self.page.text, re.DOTALL) if f'action="{action}"' in one),
            None,
        )
        assert form, f"no form for {action}"
        hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form))
        data = {name: unescape(value) for name, value in hidden.items()} | fields
        self.page = self.client.post(action, data=data)
        assert self.page.status_code == status, self.page.text
        return self.text

    @property
    def text(self):
        return unescape(re.sub(r"<[^>]+>", "", self.page.text))

    def put(self, note_id, **note):
        assert self.client.put(f"/v1/notes/{note_id}", json=SPAM | note).status_code == 200

    def wait(self, n):
        self.eventually(lambda: len(self.client.get("/v1/reviews").json()["results"]) == n)

    def desk(self):
        """The action of the form that decides."""
        return re.search(r'action="(/console/reviews/\w+/decide)"', self.page.text).group(1)

"""New notes in a live recommender: read by its encoder at once, whatever the quality champion is."""

import pytest

from models.recommend.vectors import DIMENSIONS
from serving.__main__ import main
from serving.policies.live import shipped_policy

SHIPPED = shipped_policy().content

HILLS = ("周末爬山", "周末和朋友去爬山，山顶看日出，路线和装备都写在这里。")
CLIMB = ("爬山路线", "周末爬山看日出的路线和装备，和朋友一起去山顶。")
BAKING = ("烤蛋糕", "低筋面粉过筛，蛋白打发，烤箱一百五十度烤四十分钟。")


@pytest.fixture
def encoder(world):
    return world.registry.release_reader()


@pytest.fixture
def client(world, encoder):
    world.registry.release_recommender(encoder)
    with world.open(recommend_explore_share=0.0) as client:
        yield client


@pytest.fixture
def put(client):
    def put_note(note_id, text, **fields):
        answer = client.put(f"/v1/notes/{note_id}", json={"title": text[0], "body": text[1]} | fields)
        assert answer.status_code == 200, answer.text

    return put_note


def feed(client, user_id="u1", **fields):
    answer = client.post("/v1/recommendations", json={"user_id": user_id} | fields)
    assert answer.status_code == 200, answer.text
    return answer.json()["results"]


def catalogue_of(client):
    return client.app.state.services.catalogues.live.catalogue


def number(client, note_id):
    return catalogue_of(client).number(note_id)


def test_a_new_note_is_recommended_to_who_reads_the_like(client, put, send, event, eventually):
    put("hill", HILLS)
    put("cake", BAKING)
    send(event(event="collect", note_id="hill"))
    put("new", CLIMB)
    eventually(lambda: [one for one in feed(client) if one["source"] == "content"])
    first = next(one for one in feed(client) if one["source"] == "content")
    assert first["note_id"] == "new"
    assert first["reasons"][0]["zh"] == "因为你收藏了《周末爬山》"
    similar = client.get("/v1/notes/new/similar").json()["results"]
    assert [(one["note_id"], one["source"]) for one in similar] == [("hill", "content"), ("cake", "content")]


def test_a_note_that_changes_is_read_again(client, put, eventually):
    put("hill", HILLS)
    put("new", BAKING)
    eventually(lambda: catalogue_of(client).shelf().inverse_norm[-1] > 0)
    before = catalogue_of(client).shelf().vectors[-1].copy()
    put("new", HILLS)
    eventually(lambda: (catalogue_of(client).shelf().vectors[-1] != before).any())
    eventually(lambda: [one for one in client.get("/v1/notes/new/similar").json()["results"] if one["score"] > 0.99])


def test_another_quality_champion_judges_and_the_recommender_s_encoder_still_reads(world, client, put, eventually):
    put("hill", HILLS)
    eventually(lambda: catalogue_of(client).shelf().inverse_norm[number(client, "hill")] > 0)
    vector = catalogue_of(client).shelf().vectors[number(client, "hill")].tolist()
    world.registry.release_quality()  # which has no embeddings
    put("spam", ("加微信", "加我微信，微信号在主页，加微信领福利"))
    eventually(lambda: number(client, "spam") is not None)
    eventually(lambda: catalogue_of(client).shelf().withheld[number(client, "spam")])
    assert catalogue_of(client).shelf().vectors[number(client, "hill")].tolist() == vector
    assert catalogue_of(client).shelf().inverse_norm[number(client, "spam")] > 0
    assert "spam" not in [one["note_id"] for one in feed(client)]


def test_notes_put_before_the_server_started_are_there(world, client, put):
    put("hill", HILLS)
    put("elsewhere", CLIMB, category="旅行", author_id="ann")
    client.__exit__(None, None, None)
    with world.open() as again:
        catalogue = catalogue_of(again)
        assert catalogue.number("elsewhere") == 7
        shelf = catalogue.shelf()
        assert (shelf.category[7], shelf.author[7]) == (catalogue.category_code("旅行"), catalogue.author_code("ann"))
        assert shelf.vectors.shape == (8, DIMENSIONS)


def test_a_recommender_whose_encoder_is_not_there_is_refused_and_the_old_one_serves_on(world, client, eventually):
    world.registry.release_recommender("0" * 64)
    eventually(lambda: client.get("/v1/models").json()["refused"])
    (refused,) = client.get("/v1/models").json()["refused"]
    assert refused["name"] == "recommend"
    assert len(feed(client)) == 7


def test_a_new_recommender_takes_over_with_a_catalogue_of_its_own(world, client, put, eventually):
    put("new", HILLS)
    eventually(lambda: catalogue_of(client).number("new") == 7)
    pointer = world.registry.release_recommender()
    eventually(lambda: client.app.state.services.catalogues.live.model.pointer.version == pointer.version)
    assert catalogue_of(client).number("new") == 7
    assert client.post("/v1/recommendations", json={"user_id": "u"}).json()["model"]["version"] == pointer.version


def test_notes_by_key_opinion_consumers_are_known_as_theirs(client, put, eventually):
    """1,000 followers and three notes in 90 days make one, by the shipped policy."""
    client.put("/v1/users/koc", json={"n_followers": 5_000})
    days = [{"occurred_at": f"2025-04-{day}T00:00:00Z", "event_id": f"p{day}"} for day in (10, 11, 12)]
    events = [{"user_id": "koc", "event": "publish"} | one for one in days]
    assert client.post("/v1/events", json={"events": events}).status_code == 200
    put("theirs", HILLS, author_id="koc")
    put("other", BAKING, author_id="ann")
    eventually(lambda: catalogue_of(client).number("theirs") is not None)
    eventually(lambda: catalogue_of(client).shelf().by_koc[number(client, "theirs")])
    assert not catalogue_of(client).shelf().by_koc[number(client, "other")]


def test_feeds_follow_another_policy_once_notes_are_scored_under_it(world, client, put, eventually, monkeypatch):
    monkeypatch.setenv("MINGJIAN_DATA_DIR", str(world.settings.data_dir))
    world.registry.release_quality()
    put("hill", HILLS)
    put("new", CLIMB)

    def is_shown():
        return "new" in [one["note_id"] for one in client.get("/v1/notes/hill/similar").json().get("results", [])]

    def activate(content):
        version = client.post("/v1/policies", json={"content": content, "why": "x"}).json()["version"]
        assert client.post("/v1/policies:activate", json={"version": version, "why": "x"}).status_code == 200

    eventually(is_shown)
    everything_waits = SHIPPED.replace('"reach >= 10000", "harm_probability >= 0.3"', '"reach <= 100"')
    for content, expected in ((everything_waits, False), (SHIPPED, True)):
        activate(content)
        assert main(["score-notes"]) == 0
        eventually(lambda expected=expected: is_shown() is expected)

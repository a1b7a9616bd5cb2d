"""POST /v1/recommendations and what goes with it, over HTTP: feeds, sessions, feedback, rights, reports."""

import inspect
from datetime import timedelta

import pytest

from serving.errors import StoreError
from serving.session_token import Session

POPULAR = ["tea", "coffee", "milk", "cake", "hill", "lake", "rare"]


@pytest.fixture
def client(world):
    world.registry.release_recommender()
    with world.open(recommend_explore_share=0.0) as client:
        yield client


@pytest.fixture
def recommend(client):
    """Asks for a feed and gives the whole answer."""

    def ask(user_id="u1", **fields):
        answer = client.post("/v1/recommendations", json={"user_id": user_id} | fields)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return ask


def ids(answer):
    return [one["note_id"] for one in answer["results"]]


def test_a_feed_comes_from_what_the_user_did_and_says_so(client, send, event, recommend):
    client.put("/v1/notes/tea", json={"title": "一杯好茶", "body": "正文"})
    send(event(event="collect", note_id="tea"))
    first, second, third, *_ = recommend()["results"]
    assert (first["note_id"], first["source"], first["score"]) == ("coffee", "similar", 1.0)
    assert second["note_id"] == "milk"
    assert first["reasons"] == [
        {
            "code": "because_of_a_note",
            "zh": "因为你收藏了《一杯好茶》",
            "en": "Because you collected “一杯好茶”",
            "note_id": "tea",
        }
    ]
    assert first["fallback_reason"] is None
    assert (third["source"], third["fallback_reason"], third["score"]) == ("popular", "too_few", None)


def test_an_answer_names_its_model_and_itself(world, recommend):
    answer = recommend(limit=3)
    assert (answer["model"]["name"], answer["model"]["alias"]) == ("recommend", "champion")
    assert answer["features_as_of"] == "2025-05-01T12:00:00Z"
    assert (len(answer["recommendation_id"]), answer["arm"], answer["degraded"]) == (32, "exploit", [])
    assert len(answer["results"]) == 3


def test_what_was_just_posted_is_not_recommended_and_counts_at_once(send, event, recommend):
    send(event(event="click", note_id="hill"))
    assert ids(recommend())[0] == "lake"
    send(event(event="impression", note_id="lake"), event(event="read", note_id="tea"))
    assert ids(recommend()) == ["coffee", "milk", "cake", "rare"]


def test_no_recommender_is_503_and_says_so(world):
    with world.open() as client:
        answer = client.post("/v1/recommendations", json={"user_id": "u1"})
        assert (answer.status_code, answer.json()["code"]) == (503, "no_model")
        assert client.get("/v1/notes/tea/similar").status_code == 503


def test_a_user_without_events_gets_popular_notes(recommend):
    answer = recommend()
    assert ids(answer) == POPULAR
    assert {one["fallback_reason"] for one in answer["results"]} == {"no_history"}
    assert answer["results"][0]["reasons"][0]["zh"] == "大家都在看"


def test_a_user_whose_notes_nobody_knows_gets_popular_notes(send, event, recommend):
    send(event(event="read", note_id="elsewhere"))
    answer = recommend()
    assert ids(answer) == POPULAR
    assert {one["fallback_reason"] for one in answer["results"]} == {"unknown_history"}


def test_a_newcomer_gets_fresh_notes_among_the_popular(client, recommend, eventually):
    client.put("/v1/notes/new", json={"body": "正文", "published_at": "2025-05-01T00:00:00Z"})
    client.put("/v1/notes/old", json={"body": "正文", "published_at": "2024-05-01T00:00:00Z"})
    eventually(lambda: "new" in ids(recommend()))
    answer = recommend()
    assert ids(answer)[:3] == ["tea", "new", "coffee"]
    assert "old" not in ids(answer)
    assert answer["results"][1]["source"] == "fresh"


def test_a_newcomer_who_asks_for_a_category_gets_it_first(client, recommend, eventually):
    client.put("/v1/notes/lake", json={"body": "正文", "category": "旅行", "published_at": "2020-05-01T00:00:00Z"})
    eventually(lambda: ids(recommend(category="旅行"))[0] == "lake")
    assert ids(recommend(category="旅行"))[1] == "tea"
    assert ids(recommend(category="没有的"))[0] == "tea"


def test_the_note_being_looked_at_speaks_for_a_newcomer(recommend):
    answer = recommend(context_note_id="hill", limit=2)
    assert ids(answer) == ["lake", "tea"]
    assert answer["results"][0]["reasons"][0]["code"] == "like_this_note"


def test_what_is_excluded_is_not_shown(recommend):
    assert ids(recommend(exclude=["tea", "milk", "unknown"]))[:2] == ["coffee", "cake"]


def test_pages_never_repeat_a_note(send, event, recommend):
    send(event(event="read", note_id="coffee"))
    first = recommend(limit=2)
    assert ids(first) == ["tea", "cake"]
    second = recommend(limit=2, session_token=first["session_token"])
    third = recommend(limit=9, session_token=second["session_token"])
    assert [*ids(second), *ids(third)] == ["milk", "hill", "lake", "rare"]


def test_a_session_keeps_to_the_history_it_began_with(world, send, event, recommend):
    first = recommend(limit=1)
    world.clock.now += timedelta(minutes=5)
    send(event(event="read", note_id="hill", days=0, hours=-0.05))
    assert ids(recommend(limit=1)) == ["lake"]
    assert ids(recommend(limit=1, session_token=first["session_token"])) == ["coffee"]


@pytest.mark.parametrize("token", ["", "x", "eJyLNtQBAAFZAKc=", Session(1).token()[:-4], "中文"])
def test_a_damaged_token_is_refused(client, token):
    answer = client.post("/v1/recommendations", json={"user_id": "u1", "session_token": token})
    assert answer.status_code == 422
    assert [one["code"] for one in answer.json()["errors"]] == ["invalid_session_token"]


def test_a_past_instant_sees_nothing_later(send, event, recommend):
    send(event(event="read", note_id="hill", days=9), event(event="read", note_id="tea", days=2))
    past = recommend(as_of="2025-04-25T00:00:00Z")
    assert ids(past)[0] == "lake"
    assert "tea" in ids(past)
    assert past["features_as_of"] == "2025-04-25T00:00:00Z"
    assert ids(recommend(as_of="2025-04-01T00:00:00Z")) == POPULAR


def test_a_past_instant_shows_no_note_of_later_and_hides_nothing_that_was_hidden_later(
    world, client, recommend, eventually
):
    client.put("/v1/notes/tea", json={"body": "正文", "published_at": "2025-04-28T00:00:00Z"})
    client.put("/v1/notes/late", json={"body": "正文", "published_at": "2025-04-30T00:00:00Z"})
    eventually(lambda: "late" in ids(recommend()))
    hide = {"kind": "hide", "user_id": "u1", "note_id": "coffee", "occurred_at": "2025-04-29T12:00:00Z"}
    assert client.post("/v1/feedback", json={"feedback": [hide]}).json()["results"][0]["status"] == "accepted"
    assert ids(recommend(as_of="2025-04-27T00:00:00Z")) == [one for one in POPULAR if one != "tea"]
    assert {*ids(recommend(as_of="2025-04-29T00:00:00Z"))} == {*POPULAR}
    assert {*ids(recommend(as_of="2025-04-29T13:00:00Z"))} == {*POPULAR} - {"coffee"}
    assert {*ids(recommend())} == {*POPULAR, "late"} - {"coffee"}


def test_a_past_feed_leaves_no_record(world, client, send, event, recommend):
    send(event())
    recommend(as_of="2025-04-30T00:00:00Z")
    services = client.app.state.services
    client.portal.call(services.recommendation_log.flush)
    assert client.get("/v1/users/u1").json()["recommendations"] is None
    recommend()
    client.portal.call(services.recommendation_log.flush)
    assert client.get("/v1/users/u1").json()["recommendations"]["n"] == 7


@pytest.mark.parametrize("as_of", ["2025-05-01T12:05:01Z", "1969-12-31T23:59:59Z", "9999-12-31T23:59:59-01:00"])
def test_a_feed_as_of_an_instant_that_never_was_or_has_not_come_is_refused(client, as_of):
    answer = client.post("/v1/recommendations", json={"user_id": "u1", "as_of": as_of})
    assert (answer.status_code, [one["pointer"] for one in answer.json()["errors"]]) == (422, ["/as_of"])


def test_deleted_notes_are_never_recommended_until_they_are_put_again(client, recommend, eventually):
    client.put("/v1/notes/tea", json={"body": "正文"})
    eventually(lambda: client.app.state.services.catalogues.live.catalogue.shelf().is_stored[0])
    client.delete("/v1/notes/tea")
    eventually(lambda: "tea" not in ids(recommend()))
    client.put("/v1/notes/tea", json={"body": "正文"})
    eventually(lambda: "tea" in ids(recommend()))


def test_what_was_deleted_stays_away_after_a_restart(world, client):
    client.put("/v1/notes/tea", json={"body": "正文"})
    client.delete("/v1/notes/tea")
    client.__exit__(None, None, None)
    with world.open() as again:
        answer = again.post("/v1/recommendations", json={"user_id": "u1"}).json()
        assert "tea" not in ids(answer)
        assert "coffee" in ids(answer)


class TestFeedback:
    def give(self, client, *feedback):
        answer = client.post("/v1/feedback", json={"feedback": feedback})
        assert answer.status_code == 200, answer.text
        return [one["status"] for one in answer.json()["results"]]

    def test_a_hidden_note_stays_hidden(self, client, recommend):
        assert self.give(client, {"kind": "hide", "user_id": "u1", "note_id": "tea"}) == ["accepted"]
        assert "tea" not in ids(recommend())
        assert "tea" in ids(recommend("u2"))

    def test_a_hidden_author_stays_hidden(self, client, recommend, eventually):
        client.put("/v1/notes/tea", json={"body": "正文", "author_id": "ann"})
        eventually(lambda: client.app.state.services.catalogues.live.catalogue.author_code("ann") >= 0)
        self.give(client, {"kind": "hide", "user_id": "u1", "author_id": "ann"})
        assert "tea" not in ids(recommend())

    def test_a_click_counts_once_however_often_it_is_sent_and_one_of_later_counts_too(self, world, client):
        click = {"kind": "click", "user_id": "u1", "note_id": "tea"}
        dated = click | {"occurred_at": "2025-05-01T11:00:00Z"}
        assert self.give(client, click, click, dated) == ["accepted", "duplicate", "accepted"]
        world.clock.now += timedelta(seconds=9)
        assert self.give(client, click, dated) == ["duplicate", "duplicate"]
        world.clock.now += timedelta(minutes=1)
        assert self.give(client, click, dated) == ["accepted", "duplicate"]
        assert self.give(client, dated | {"occurred_at": "2025-05-01T11:00:01Z"}) == ["accepted"]

    def test_malformed_feedback_is_rejected_for_itself(self, client):
        good, bad = {"kind": "click", "user_id": "u1", "note_id": "tea"}, {"kind": "click", "user_id": "u1"}
        answer = client.post("/v1/feedback", json={"feedback": [bad, good, {"kind": "x"}, good | {"note_id": ""}]})
        results = answer.json()["results"]
        assert [one["status"] for one in results] == ["rejected", "accepted", "rejected", "rejected"]
        pointers = [[error["pointer"] for error in one["errors"]] for one in results]
        assert pointers == [["/feedback/0"], [], ["/feedback/2"], ["/feedback/3/note_id"]]

    def test_the_same_feedback_counts_once(self, client):
        click = {"kind": "click", "user_id": "u1", "note_id": "tea", "recommendation_id": "r1"}
        named = {"kind": "click", "user_id": "u1", "note_id": "tea", "feedback_id": "f1"}
        assert self.give(client, click, named) == ["accepted", "accepted"]
        assert self.give(client, click, named, {**named, "note_id": "milk"}) == ["duplicate", "duplicate", "conflict"]

    @pytest.mark.parametrize("broken", [{"kind": "click"}, {"kind": "hide"}, {"kind": "exposure", "author_id": "a"}])
    def test_feedback_on_nothing_is_refused(self, client, broken):
        answer = client.post("/v1/feedback", json={"feedback": [{"user_id": "u1"} | broken]})
        assert answer.status_code == 422

    def test_the_report_counts_what_became_of_a_feed(self, client, recommend, eventually):
        answer = recommend(limit=4, scene="home")
        said = {"user_id": "u1", "recommendation_id": answer["recommendation_id"]}
        for note_id in ids(answer)[:2]:
            self.give(client, {"kind": "exposure", "note_id": note_id} | said)
        self.give(client, {"kind": "click", "note_id": "coffee"} | said)

        def report(by):
            return client.get("/v1/reports/recommendations", params={"by": by}).json()["results"]

        eventually(lambda: report("source"))
        (row,) = report("source")
        assert {name: row[name] for name in ("name", "n_recommended", "n_exposed", "n_clicked", "ctr")} == {
            "name": "popular", "n_recommended": 4, "n_exposed": 2, "n_clicked": 1, "ctr": 0.5,
        }  # fmt: skip
        assert (round(row["low"], 3), round(row["high"], 3)) == (0.095, 0.905)  # Wilson's interval for one of two
        assert [report(by)[0]["name"] for by in ("version", "arm", "scene")] == ["1", "exploit", "home"]


def noting(names, name, method):
    """The method, that notes its name where it is called."""

    def noted(*args, **kwargs):
        names.append(name)
        return method(*args, **kwargs)

    return noted


class TestOptOut:
    @pytest.fixture
    def opted_out(self, client):
        client.put("/v1/users/u1", json={"personalisation_opt_out": True})

    def test_nothing_that_the_user_did_changes_the_feed(self, opted_out, send, event, recommend):
        before = recommend()
        send(event(event="collect", note_id="tea"), event(event="read", note_id="hill"))
        after = recommend()
        assert ids(after) == ids(before) == POPULAR
        assert {one["fallback_reason"] for one in after["results"]} == {"personalisation_off"}

    def test_only_the_wish_and_the_hides_are_read(self, opted_out, client, send, event, recommend, monkeypatch):
        send(event(event="hide", note_id="milk"), event(event="read", note_id="tea"))
        journal, states, asked = client.app.state.services.journal, client.app.state.services.states, []
        for store in (journal, states):
            for name, method in inspect.getmembers(store, inspect.iscoroutinefunction):
                monkeypatch.setattr(store, name, noting(asked, name, method))
        assert "milk" not in ids(recommend())
        assert asked == ["wishes", "hides"]
        recommend("u2")
        assert asked[2:] == ["wishes", "hides", "note_events"]


class TestInterests:
    def test_interests_are_what_notes_that_were_taken_up_are_about(self, client, send, event):
        client.put("/v1/notes/tea", json={"body": "正文", "category": "美食", "topics": ["下午茶"]})
        client.put("/v1/notes/cake", json={"body": "正文", "category": "美食"})
        seen = event(event="impression", note_id="hill")
        send(event(event="read", note_id="tea", days=2), event(event="like", note_id="cake"), seen)
        results = client.get("/v1/users/u1/interests").json()["results"]
        assert [(one["tag"], one["n_notes"]) for one in results] == [("美食", 2), ("下午茶", 1)]
        assert results[0]["last_at"] == "2025-04-30T12:00:00Z"

    def test_a_deleted_interest_speaks_for_nothing_until_it_shows_anew(self, world, client, send, event, recommend):
        client.put("/v1/notes/hill", json={"body": "正文", "category": "旅行"})
        send(event(event="read", note_id="hill"))
        assert ids(recommend())[0] == "lake"
        assert client.delete("/v1/users/u1/interests/旅行").json()["tag"] == "旅行"
        assert client.get("/v1/users/u1/interests").json()["results"] == []
        answer = recommend()
        assert ids(answer) == [one for one in POPULAR if one != "hill"]
        assert client.get("/v1/users/u1").json()["deleted_interests"] == ["旅行"]
        world.clock.now += timedelta(minutes=5)
        send(event(event="like", note_id="hill", days=0, hours=-0.05))
        assert ids(recommend())[0] == "lake"


class TestSimilar:
    def test_notes_read_beside_a_note_come_by_strength(self, client):
        results = client.get("/v1/notes/coffee/similar").json()["results"]
        assert [(one["note_id"], one["source"]) for one in results] == [("tea", "similar"), ("cake", "similar")]
        assert [one["note_id"] for one in client.get("/v1/notes/coffee/similar?limit=1").json()["results"]] == ["tea"]

    def test_a_note_that_nobody_knows_is_404(self, client):
        assert client.get("/v1/notes/unknown/similar").status_code == 404


def test_a_journal_that_is_away_costs_the_feed_its_history_alone(client, send, event, recommend, monkeypatch):
    send(event(event="read", note_id="hill"))

    async def away(*args, **kwargs):
        raise StoreError("away")

    monkeypatch.setattr(client.app.state.services.journal, "wishes", away)
    answer = recommend()
    assert (answer["degraded"], ids(answer)) == (["journal"], POPULAR)
    assert {one["fallback_reason"] for one in answer["results"]} == {"history_unavailable"}


def test_nobody_is_recommended_their_own_notes(client, recommend, eventually):
    client.put("/v1/notes/tea", json={"body": "正文", "author_id": "u1"})
    eventually(lambda: "tea" not in ids(recommend()))


def test_some_feeds_look_beyond_the_order_and_say_so(world):
    world.registry.release_recommender()
    with world.open(recommend_explore_share=0.5) as client:
        answers = [client.post("/v1/recommendations", json={"user_id": "u", "limit": 2}).json() for _ in range(60)]
    arms = {arm: [ids(one) for one in answers if one["arm"] == arm] for arm in ("exploit", "explore")}
    assert min(map(len, arms.values())) > 10
    assert {tuple(one) for one in arms["exploit"]} == {("tea", "coffee")}
    assert len({note_id for one in arms["explore"] for note_id in one}) == 6  # of the best three times two


def test_an_erased_user_leaves_no_recommendations(client, send, event, recommend, eventually):
    send(event(event="read", note_id="tea"))
    recommend()
    eventually(lambda: client.get("/v1/users/u1").json()["recommendations"])
    assert client.get("/v1/users/u1").json()["recommendations"]["n"] == 6
    client.delete("/v1/users/u1")
    assert client.get("/v1/users/u1").status_code == 404

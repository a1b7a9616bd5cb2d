"""Flags that protect a user, over HTTP, on each pair of stores that is meant for production."""

import pytest

BOTH = {"personalisation_opt_out": True, "is_minor": True}


@pytest.fixture
def client(world, stores):
    world.registry.release()
    world.registry.release_recommender()
    with world.open(**stores) as client:
        yield client


@pytest.fixture
def put(client):
    """Puts profiles of u1, one after the other."""

    def put_profiles(*profiles):
        for profile in profiles:
            assert client.put("/v1/users/u1", json=profile).status_code == 200

    return put_profiles


def flags(client):
    """What is held of both flags, whether actions are withheld, and whether a feed may be personal."""
    profile = client.get("/v1/users/u1").json()["profile"]
    [user] = client.post("/v1/users:score", json={"user_ids": ["u1"]}).json()["results"]
    feed = client.post("/v1/recommendations", json={"user_id": "u1"}).json()["results"]
    is_off = {one["fallback_reason"] for one in feed} == {"personalisation_off"}
    return profile["personalisation_opt_out"], profile["is_minor"], user["actions_withheld"], is_off


@pytest.mark.parametrize("later", [{}, {"n_followers": 11}, {"personalisation_opt_out": None, "is_minor": None}])
def test_a_profile_that_leaves_a_flag_open_keeps_it(client, put, later):
    put(BOTH, later, later)
    assert flags(client) == (True, True, True, True)


def test_a_flag_ends_by_an_explicit_false_alone_and_each_by_its_own(client, put):
    put(BOTH, {"is_minor": False})
    assert flags(client) == (True, False, True, True)
    put({"personalisation_opt_out": False}, {"n_followers": 2})
    assert flags(client) == (False, False, False, False)


def test_of_whom_nothing_was_said_no_flag_is_known_and_nothing_is_withheld(client, put):
    put({"n_followers": 3})
    assert flags(client) == (None, None, False, False)


def test_an_erased_users_flags_are_not_taken_over_by_anyone(client, put):
    put(BOTH)
    client.delete("/v1/users/u1")
    assert client.put("/v1/users/u2", json={"n_followers": 1}).status_code == 200
    profile = client.get("/v1/users/u2").json()["profile"]
    assert (profile["personalisation_opt_out"], profile["is_minor"]) == (None, None)


def test_nothing_that_is_kept_joins_a_feed_to_a_user_who_wants_no_personal_ones(client, put, event, eventually):
    def exposures():
        return [(one["n_recommended"], one["n_exposed"]) for one in report()["results"]]

    def report():
        return client.get("/v1/reports/recommendations").json()

    put(BOTH)
    for user_id in ("u1", "u2"):
        feed = client.post("/v1/recommendations", json={"user_id": user_id, "limit": 3}).json()
        seen = {"note_id": feed["results"][0]["note_id"], "recommendation_id": feed["recommendation_id"]}
        client.post("/v1/events", json={"events": [event(user_id, event="impression", **seen)]})
    eventually(lambda: report()["results"])
    assert exposures() == [(3, 1)]  # of u2's feed alone, which came later

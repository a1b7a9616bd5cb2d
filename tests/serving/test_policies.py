"""Policies over HTTP: put, activated, tried beside the active one, taken back; and what users and notes are told."""

from contextlib import ExitStack

import pytest
from pydantic import PostgresDsn, RedisDsn, Secret

from models.policy.schema import read_policy
from serving.policies.live import shipped_policy
from serving.security import hash_secret
from serving.store.keys import StoredKey
from serving.store.policies import Deed, Role, StoredPolicy

SHIPPED = shipped_policy()
EASY_KOC = SHIPPED.content.replace("n_followers >= 1000", "n_followers >= 10")
STRICT = SHIPPED.content.replace('"quality < limit_below"', '"quality < 99"')
WHY = "spring campaign"


@pytest.fixture
def servers(world, postgres_url, own_redis):
    """Two servers on one database; each is asked by a client of its own."""
    world.registry.release()
    world.registry.release_quality()
    stores = {"journal_url": Secret(PostgresDsn(postgres_url)), "state_url": Secret(RedisDsn(own_redis.url))}
    with ExitStack() as stack:
        yield [stack.enter_context(world.open(**stores)) for _ in range(2)]


def put(client, content=EASY_KOC):
    answer = client.post("/v1/policies", json={"content": content, "why": WHY})
    assert answer.status_code == 200, answer.text
    return answer.json()["version"]


def act(client, verb, **fields):
    answer = client.post(f"/v1/policies:{verb}", json={"why": WHY, **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


def in_answers(client):
    """The version in a score's answer."""
    return client.post("/v1/users:score", json={"user_ids": ["u1"]}).json()["policy_version"]


def changes(client, **query):
    return client.get("/v1/policy-changes", params=query).json()


def test_the_shipped_policy_answers_until_another_is_activated(client, score):
    listed = client.get("/v1/policies").json()
    assert listed["active"] == {"version": SHIPPED.version, "since": None, "who": None}
    assert (listed["shadow"], listed["policies"], listed["live"]) == (None, [], SHIPPED.version)
    assert score("u1")["policy_version"] == SHIPPED.version
    assert client.get(f"/v1/policies/{SHIPPED.version}").json()["content"] == SHIPPED.content


def test_a_policy_is_stored_once_and_given_back_as_it_was_put(client):
    version = put(client)
    assert version == put(client, EASY_KOC + "\n# a comment changes nothing\n") == read_policy(EASY_KOC).version
    got = client.get(f"/v1/policies/{version}").json()
    assert (got["content"], got["name"], got["stored_at"]) == (EASY_KOC, "default", "2025-05-01T12:00:00Z")
    assert [one["version"] for one in client.get("/v1/policies").json()["policies"]] == [version]
    assert [one["what"] for one in changes(client)["results"]] == ["add"]


def test_a_bad_policy_is_refused_with_the_line_of_each_problem(client):
    content = SHIPPED.content.replace("n_followers >= 20000", "followers >= 20000").replace(
        "priority = 90", "priority = -1"
    )
    answer = client.post("/v1/policies", json={"content": content, "why": WHY})
    assert answer.status_code == 422
    found = [(one["pointer"], one["code"], one["detail"].split(":")[0]) for one in answer.json()["errors"]]
    lines = content.split("\n")
    expected = [n for n, line in enumerate(lines, 1) if "followers >= 20000" in line or "priority = -1" in line]
    assert found == [
        ("/content", "unknown_fact", f"line {expected[0]}"),
        ("/content", "out_of_range", f"line {expected[1]}"),
    ]
    assert client.get("/v1/policies").json()["policies"] == []


def test_an_unknown_version_can_neither_be_seen_nor_put_in_force(client):
    nobodys = "0" * 64
    assert client.get(f"/v1/policies/{nobodys}").status_code == 404
    for verb in ("activate", "shadow"):
        answer = client.post(f"/v1/policies:{verb}", json={"version": nobodys, "why": WHY})
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("body", [{"content": "x"}, {"content": "", "why": "x"}, {"content": "x", "why": ""}])
def test_a_policy_comes_with_a_reason(client, body):
    assert client.post("/v1/policies", json=body).status_code == 422


def test_an_activated_policy_answers_in_every_server_and_a_rollback_brings_the_one_before(servers, eventually):
    here, there = servers
    version = put(here)
    assert act(here, "activate", version=version)["live"] == version
    assert in_answers(here) == version
    eventually(lambda: in_answers(there) == version)
    assert act(there, "rollback")["active"]["version"] == SHIPPED.version
    assert in_answers(there) == SHIPPED.version
    eventually(lambda: in_answers(here) == SHIPPED.version)


def test_rollbacks_go_back_one_activation_each_and_end_where_nothing_was_before(client):
    first, second = put(client), put(client, STRICT)
    act(client, "activate", version=first)
    act(client, "activate", version=second)
    act(client, "activate", version=second)  # nothing changes
    assert [act(client, "rollback")["live"] for _ in range(2)] == [first, SHIPPED.version]
    answer = client.post("/v1/policies:rollback", json={"why": WHY})
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    whats = [one["what"] for one in changes(client)["results"]]
    assert whats == ["rollback", "rollback", "activate", "activate", "add", "add"]


def test_nothing_was_active_before_the_first(client):
    assert client.post("/v1/policies:rollback", json={"why": WHY}).status_code == 409


def test_who_did_what_when_and_why_is_written_down(world):
    world.registry.release()
    with world.open(open_access=False) as client:
        key = StoredKey(hash_secret("mj_admin"), "ops on duty", frozenset(["admin"]), created_at=0)
        client.portal.call(client.app.state.services.key_ring._keys.add, key)
        client.headers["X-API-Key"] = "mj_admin"
        version = put(client)
        act(client, "activate", version=version)
        newest, _ = changes(client)["results"]
        assert newest == {
            "change_no": 2,
            "changed_at": "2025-05-01T12:00:00Z",
            "who": "ops on duty",
            "what": "activate",
            "role": "active",
            "before": SHIPPED.version,
            "after": version,
            "why": WHY,
        }
        assert client.get("/v1/policies").json()["active"] == {
            "version": version,
            "since": "2025-05-01T12:00:00Z",
            "who": "ops on duty",
        }


def test_what_was_done_is_read_page_by_page_the_newest_first(client):
    version = put(client)
    for _ in range(2):
        act(client, "shadow", version=version)
        act(client, "shadow", version=None)
    numbers, page = [], {"next_cursor": None}
    for _ in range(3):
        page = changes(client, limit=2, **({"cursor": page["next_cursor"]} if page["next_cursor"] else {}))
        numbers.append([one["change_no"] for one in page["results"]])
    assert numbers == [[5, 4], [3, 2], [1]]
    assert (page["has_more"], page["next_cursor"]) == (False, None)
    assert client.get("/v1/policy-changes", params={"cursor": "x"}).status_code == 422


def metric(client, what, outcome):
    line = f'mingjian_policy_shadow_total{{outcome="{outcome}",what="{what}"}} '
    return sum(float(one.removeprefix(line)) for one in client.get("/metrics").text.split("\n") if one.startswith(line))


def test_a_shadow_is_counted_and_not_a_word_of_it_is_answered(client, score, send, event):
    client.put("/v1/users/u1", json={"n_followers": 10, "registered_at": "2024-01-01T00:00:00Z"})
    send(*(event("u1", event="publish", days=days) for days in (1, 2, 3)), event("u2"))
    before = score("u1", "u2")["results"]
    version = put(client)
    assert act(client, "shadow", version=version)["shadow"]["version"] == version
    answer = score("u1", "u2")
    assert (answer["results"], answer["policy_version"]) == (before, SHIPPED.version)
    # u1, active so far, would be a KOC in their interest stage: other actions too
    found = {
        what: (metric(client, what, "same"), metric(client, what, "differs")) for what in ("tier", "stage", "actions")
    }
    assert found == {"tier": (1, 1), "stage": (2, 0), "actions": (1, 1)}
    act(client, "shadow", version=None)
    score("u1", "u2")
    assert metric(client, "stage", "same") == 2


def test_the_shadow_decides_about_notes_beside_the_active_one(servers):
    client, _ = servers
    act(client, "shadow", version=put(client, STRICT))
    notes = {"notes": [{"body": "今天加微信"}, {"body": "这家小店藏在巷子里，手冲咖啡很香。"}]}
    decisions = [one["decision"] for one in client.post("/v1/notes:score", json=notes).json()["results"]]
    assert decisions == ["review", "pass"]  # the shadow would limit the second
    assert (metric(client, "decision", "same"), metric(client, "decision", "differs")) == (1, 1)


def test_a_policy_that_this_version_can_not_read_is_refused_and_the_one_before_answers_on(client, eventually, score):
    first = put(client)
    act(client, "activate", version=first)
    store = client.app.state.services.policies._store
    later = StoredPolicy("f" * 64, "of a later version", "format = 2", 1)
    client.portal.call(store.add, later, Deed("x", 1, WHY))
    in_force = lambda version: store.put_in_force(Role.ACTIVE, version, Deed("x", 1, WHY), shipped=SHIPPED)  # noqa: E731
    client.portal.call(in_force, later.version)
    eventually(lambda: client.get("/v1/policies").json()["refused"])
    listed = client.get("/v1/policies").json()
    assert listed["refused"] == [{"role": "active", "version": "f" * 64, "reason": "line 1: format: format must be 1"}]
    assert (listed["active"]["version"], listed["live"], score("u1")["policy_version"]) == (later.version, first, first)
    assert 'mingjian_policy_refused{role="active"} 1.0' in client.get("/metrics").text
    answer = client.post("/v1/policies:shadow", json={"version": later.version, "why": WHY})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "unreadable")
    client.portal.call(in_force, first)
    eventually(lambda: not client.get("/v1/policies").json()["refused"])


def test_an_activated_policy_is_still_active_after_a_restart(world):
    world.registry.release()
    with world.open() as client:
        version = put(client)
        act(client, "activate", version=version)
    with world.open() as client:
        assert in_answers(client) == version


def test_a_user_has_a_tier_a_stage_and_actions_with_their_reasons(client, score, send, event):
    client.put("/v1/users/u1", json={"registered_at": "2025-04-30T00:00:00Z"})
    send(event("u1", hours=0, days=0.5))
    answer = score("u1")
    assert answer["results"][0] | {"churn": [], "reasons": []} == {
        "user_id": "u1",
        "status": "scored",
        "churn": [],
        "reasons": [],
        "explained": None,
        "tier": "ordinary",
        "tier_rule": "ordinary",
        "stage": "explore",
        "stage_rule": "newcomer",
        "actions": ["newcomer_guide", "newcomer_tasks"],
        "actions_withheld": False,
    }
    said = answer["policy"]
    assert said["tier_rules"] == {"ordinary": {"zh": "其他用户", "en": "Everyone else"}}
    assert said["stage_rules"] == {"newcomer": {"zh": "加入不满 14 天", "en": "Here for less than 14 days"}}
    assert said["actions"]["newcomer_guide"] == {
        "kind": "newcomer_guide",
        "priority": 90,
        "cooldown_days": 7,
        "daily_cap": None,
        "money": None,
        "zh": "刚来不久：引导完成首次浏览和关注",
        "en": "Just arrived: guide them to a first read and a first follow",
    }
    assert (list(said["actions"]), said["actions"]["newcomer_tasks"]["daily_cap"]) == (
        ["newcomer_guide", "newcomer_tasks"],
        20_000,
    )


def test_what_a_profile_says_counts_at_once(client, score, send, event):
    def told(**profile):
        assert client.put("/v1/users/u1", json={"registered_at": "2024-01-01T00:00:00Z", **profile}).status_code == 200
        [user] = score("u1")["results"]
        return user["tier"], user["actions"], user["actions_withheld"]

    send(*(event("u1", event="publish", days=days) for days in (1, 2, 3, 4)))
    assert told() == ("active", [], False)
    assert told(n_followers=20_000) == ("head_creator", ["dedicated_service"], False)
    assert told(n_followers=20_000, is_minor=True) == ("head_creator", [], True)
    assert told(n_followers=20_000, is_minor=False, personalisation_opt_out=True) == ("head_creator", [], True)
    assert told(n_followers=1_000, personalisation_opt_out=False) == ("koc", ["traffic_support"], False)


def test_the_churn_warning_is_by_the_longest_horizon_whichever_was_asked_for(client, score, send, event):
    # after 20 days sigmoid(-0.6) = .354, below the longest horizon's .4; after 29 sigmoid(-0.42) = .397, below it too;
    # 30 days away is a warning by itself
    client.put("/v1/users/u1", json={"registered_at": "2024-01-01T00:00:00Z"})
    client.put("/v1/users/u2", json={"registered_at": "2024-01-01T00:00:00Z"})
    send(event("u1", days=29.5), event("u2", days=30))
    results = score("u1", "u2", horizons=[7])["results"]
    assert [one["stage_rule"] for one in results] == ["finding_interests", "away"]
    send(event("u3", days=29.9))
    version = put(client, SHIPPED.content.replace("churn_probability >= churn_threshold", "churn_probability >= 0.39"))
    act(client, "activate", version=version)
    [user] = score("u1", horizons=[7])["results"]
    assert user["stage_rule"] == "at_risk"


def test_many_users_get_what_each_gets_alone(client, score, send, event):
    ids = [f"u{n}" for n in range(120)]
    for n, user_id in enumerate(ids[:40]):
        client.put(f"/v1/users/{user_id}", json={"n_followers": n * 1_000, "is_minor": n % 5 == 0})
    send(*(event(user_id, event="publish", days=1 + day) for n, user_id in enumerate(ids) for day in range(n % 6)))
    answer = score(*ids)
    crowd, said = answer["results"], answer["policy"]
    assert len({one["tier"] for one in crowd}) == 4
    assert {one["tier_rule"] for one in crowd} == {*said["tier_rules"]}
    assert {one["stage_rule"] for one in crowd} == {*said["stage_rules"]}
    assert {name for one in crowd for name in one["actions"]} == {*said["actions"]}
    assert [score(user_id)["results"][0] for user_id in ids[::7]] == crowd[::7]


def test_an_authors_tier_counts_in_the_decision_about_their_note(servers, event):
    client, _ = servers
    for user_id, n_followers in (("koc", 5_000), ("new", 5)):
        client.put(f"/v1/users/{user_id}", json={"n_followers": n_followers})
        posts = [event(user_id, event="publish", days=days) for days in (1, 2, 3)]
        client.post("/v1/events", json={"events": posts})
    content = SHIPPED.content.replace('"harm_probability >= 0.7"', '"harm_probability >= 0.01"')
    act(client, "activate", version=put(client, content))
    body = "这家小店藏在巷子里，手冲咖啡很香。"
    notes = [{"body": body, "author_id": "koc"}, {"body": body, "author_id": "new"}, {"body": body}]
    results = client.post("/v1/notes:score", json={"notes": notes}).json()["results"]
    assert [one["decision_rule"]["rule"] for one in results] == ["creator_and_doubtful", "sound", "sound"]


def test_notes_are_decided_about_while_the_states_are_away_without_their_authors(servers, own_redis):
    client, _ = servers
    own_redis.stop()
    answer = client.post("/v1/notes:score", json={"notes": [{"body": "今天加微信", "author_id": "u1"}]}).json()
    assert answer["degraded"] == ["authors"]
    assert [one["decision"] for one in answer["results"]] == ["review"]

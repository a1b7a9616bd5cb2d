"""Actions over HTTP: who gets which, in which arm, how often; and what a report says that they are worth."""

import random
from datetime import timedelta

import pytest

from serving.assigning import Assigning, Shares
from serving.store.assignments import Arm, Outcomes
from serving.uplift import Verdict, uplift

DAY = timedelta(days=1)


@pytest.fixture
def assign(client):
    def post(batch_id, *user_ids):
        answer = client.post("/v1/actions:assign", json={"batch_id": batch_id, "user_ids": user_ids})
        assert answer.status_code == 200, answer.text
        return {one["user_id"]: one["assignment"] for one in answer.json()["results"]}

    return post


def register(client, *user_ids, at="2025-04-30T00:00:00Z", **fields):
    """New users, who are eligible for the newcomers' guide and tasks."""
    for user_id in user_ids:
        assert client.put(f"/v1/users/{user_id}", json={"registered_at": at, **fields}).status_code == 200


def arms(client, n=1_000, action="newcomer_guide"):
    arm = client.app.state.services.assigning.arm
    return {f"u{number}": arm(f"u{number}", action) for number in range(n)}


def one_in(client, arm):
    return next(user_id for user_id, own in arms(client).items() if own is arm)


def test_a_newcomer_is_assigned_the_first_action_and_it_is_on_record(client, assign):
    user_id = one_in(client, Arm.TREATMENT)
    register(client, user_id)
    eligible = client.post("/v1/users:score", json={"user_ids": [user_id]}).json()["results"][0]
    made = assign("b1", user_id)[user_id]
    assert made["action"] == eligible["actions"][0]
    assert (made["arm"], made["tier"], made["stage"]) == ("treatment", eligible["tier"], eligible["stage"])
    assert client.get(f"/v1/users/{user_id}").json()["assignments"]["n"] == 1


def test_a_batch_that_is_sent_again_assigns_nothing(client, assign, world):
    register(client, "u1", "u2")
    first = assign("b1", "u1", "u2")
    world.clock.now += 100 * DAY
    assert assign("b1", "u2", "u1") == first
    other = client.post("/v1/actions:assign", json={"batch_id": "b1", "user_ids": ["u1"]})
    assert (other.status_code, other.json()["code"]) == (409, "conflict")


def test_within_its_cooldown_the_next_action_comes_and_then_nothing(client, assign):
    register(client, "u1")
    eligible = client.post("/v1/users:score", json={"user_ids": ["u1"]}).json()["results"][0]["actions"]
    given = [assign(f"b{number}", "u1")["u1"] for number in range(len(eligible) + 1)]
    assert [one and one["action"] for one in given] == [*eligible, None]


def test_a_daily_cap_holds_for_those_for_whom_it_is_done(client, assign, world):
    policies = client.app.state.services.policies
    content = policies.shipped.content
    start = content.index('action = "newcomer_guide"')
    capped = content[:start] + content[start:].replace("priority =", "daily_cap = 3\npriority =", 1)
    if "daily_cap" in content[start : content.index("[[", start)]:
        pytest.fail("the shipped policy caps this action by itself now")
    version = client.post("/v1/policies", json={"content": capped, "why": "x"}).json()["version"]
    client.post("/v1/policies:activate", json={"version": version, "why": "x"})
    treated = [user_id for user_id, arm in arms(client).items() if arm is Arm.TREATMENT][:5]
    register(client, *treated)
    actions = [one["action"] for one in assign("b1", *treated).values()]
    assert actions.count("newcomer_guide") == 3
    world.clock.now += DAY
    late = treated[next(at for at, action in enumerate(actions) if action != "newcomer_guide")]
    assert assign("b2", late)[late]["action"] == "newcomer_guide"


def test_arms_are_drawn_by_their_shares_and_always_alike(client):
    store, scoring = None, None

    def arms_of(salt):
        assigning = Assigning(store, scoring, shares=Shares(0.1, 0.25, salt), clock=lambda: 0)
        return [assigning.arm(f"u{number}", "guide") for number in range(4_000)]

    drawn = arms_of("a")
    assert drawn == arms_of("a") != arms_of("b")
    assert drawn.count(Arm.HOLDOUT) / 4_000 == pytest.approx(0.1, abs=0.02)
    assert drawn.count(Arm.CONTROL) / 4_000 == pytest.approx(0.9 * 0.25, abs=0.03)


def test_who_is_held_out_is_so_for_every_action(client):
    guide, tasks = arms(client), arms(client, action="newcomer_tasks")
    held_out = {user_id for user_id, arm in guide.items() if arm is Arm.HOLDOUT}
    assert held_out == {user_id for user_id, arm in tasks.items() if arm is Arm.HOLDOUT} != set()


def test_who_opted_out_gets_nothing_and_a_minor_no_marketing(client, assign):
    register(client, "out", personalisation_opt_out=True)
    assert assign("b1", "out", "nobody")["out"] is None


def test_a_delivery_counts_once_and_only_for_whom_it_was_assigned(client, assign):
    register(client, "u1")
    delivery = {"kind": "delivery", "user_id": "u1", "assignment_id": assign("b1", "u1")["u1"]["assignment_id"]}
    click = {"kind": "click", "user_id": "u1", "note_id": "n1"}
    wrong = delivery | {"user_id": "u2"}
    for expected in (["accepted", "accepted", "rejected"], ["duplicate", "duplicate", "rejected"]):
        answer = client.post("/v1/feedback", json={"feedback": [delivery, click, wrong]}).json()
        assert [one["status"] for one in answer["results"]] == expected
    assert answer["results"][2]["code"] == "unknown_assignment"


def test_an_erased_user_is_assigned_nothing_and_leaves_nothing(client, assign):
    register(client, "u1")
    assign("b1", "u1")
    client.delete("/v1/users/u1")
    assert assign("b2", "u1")["u1"] is None
    assert client.get("/v1/users/u1").status_code == 404


@pytest.mark.slow
@pytest.mark.parametrize(("effect", "verdict"), [(0.25, "helps"), (0.0, "cant_tell_yet"), (-0.25, "harms")])
def test_a_planted_effect_is_found_and_none_is_not(world, effect, verdict):
    world.registry.release()
    rng = random.Random(5)
    users = [f"u{number}" for number in range(1_000)]
    with world.open(action_holdout_share=0.1, action_control_share=0.4) as client:
        for start in range(0, 1_000, 100):
            events = [seen(user_id, world.clock.now - DAY) for user_id in users[start : start + 100]]
            client.post("/v1/events", json={"events": events})
        register(client, *users)
        made = client.post("/v1/actions:assign", json={"batch_id": "b", "user_ids": users}).json()["results"]
        world.clock.now += 15 * DAY
        stay = 0.4
        events = [
            seen(one["user_id"], world.clock.now - DAY * 3)
            for one in made
            if rng.random() < stay + effect * (one["assignment"]["arm"] == "treatment")
        ]
        client.post("/v1/events", json={"events": events})
        report = client.get("/v1/reports/uplift", params={"window_days": 14}).json()["results"]
        found = {one["action"]: one for one in report}[made[0]["assignment"]["action"]]
        retention = found["effects"][0]
        assert (retention["outcome"], retention["verdict"], found["is_split_right"]) == ("retention", verdict, True)
        assert retention["low"] <= effect <= retention["high"]
        assert client.get("/v1/reports/uplift", params={"window_days": 30}).json()["results"] == []


def seen(user_id, at):
    return {"event_id": f"{user_id} {at}", "user_id": user_id, "event": "open", "occurred_at": at.isoformat()}


def of(arm, *active_days):
    return [Outcomes(arm, days, 2 * days, 0, 0.0) for days in active_days]


def test_a_difference_and_its_interval_by_hand():
    outcomes = of(Arm.TREATMENT, *[0, 2] * 100) + of(Arm.CONTROL, *[0, 1] * 50) + of(Arm.HOLDOUT, *[0, 1] * 50)
    found = uplift("guide", outcomes, held_out_share=0.5)
    assert (found.n_treated, found.n_held_out, found.p_split, found.is_split_right) == (200, 200, 1.0, True)
    days = found.effects[1]
    assert (days.outcome, days.treated, days.held_out, days.difference) == ("active_days", 1, 0.5, 0.5)
    error = (1 * 200 / 199 / 200 + 0.25 * 200 / 199 / 200) ** 0.5
    assert (days.low, days.high) == pytest.approx((0.5 - 1.959964 * error, 0.5 + 1.959964 * error))
    assert days.verdict is Verdict.HELPS
    assert found.effects[0].verdict is Verdict.CANT_TELL


def test_few_users_or_a_split_that_was_not_drawn_tell_nothing():
    few = uplift("guide", of(Arm.TREATMENT, *[9] * 99) + of(Arm.CONTROL, *[0] * 200), held_out_share=0.6)
    assert {one.verdict for one in few.effects} == {Verdict.CANT_TELL}
    split = uplift("guide", of(Arm.TREATMENT, *[9, 8] * 200) + of(Arm.CONTROL, *[0, 1] * 100), held_out_share=0.1)
    assert not split.is_split_right
    assert {one.verdict for one in split.effects} == {Verdict.CANT_TELL}
    assert split.effects[1].low > 0

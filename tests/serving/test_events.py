"""POST /v1/events over HTTP."""

import json
import random
from datetime import datetime, timedelta

import pytest

from features.schema import kind_code
from features.state import Event, UserState, UserStates, thousandths
from models.bundle import read_bundle
from models.churn.scorer import ChurnScorer
from serving.instants import to_us

FIELDS = ["status", "code", "warnings"]


def outcome(result):
    return [result[name] for name in FIELDS]


def test_results_keep_the_order_of_the_events(send, event):
    results = send(event(event_id="b"), event(event_id="a"), event(event_id="c", occurred_at="2025-06-01T00:00:00Z"))
    assert [one["event_id"] for one in results] == ["b", "a", "c"]
    assert [one["status"] for one in results] == ["accepted", "accepted", "rejected"]


def test_the_same_event_again_is_a_duplicate_and_counts_once(send, score, event):
    once = event(value=1.5)
    assert outcome(send(once)[0]) == ["accepted", None, []]
    before = score("u1")["results"]
    assert [outcome(one) for one in send(once, once)] == [["duplicate", None, []]] * 2
    assert score("u1")["results"] == before


def test_another_event_under_a_taken_id_is_a_conflict(send, event):
    first, other = event(event_id="e", value=1), event(event_id="e", value=2)
    assert [one["status"] for one in send(first, other)] == ["accepted", "conflict"]
    assert outcome(send(other)[0]) == ["conflict", "event_id_conflict", []]


def test_an_event_may_lie_five_minutes_ahead_and_no_more(send, event, world):
    ahead = [(world.clock.now + timedelta(seconds=seconds)).isoformat() for seconds in (300, 301)]
    results = send(*(event(occurred_at=at) for at in ahead))
    assert [outcome(one) for one in results] == [["accepted", None, []], ["rejected", "future_event", []]]


def test_an_event_before_1970_is_rejected(send, event):
    assert outcome(send(event(occurred_at="1969-12-31T23:59:59Z"))[0]) == ["rejected", "before_1970", []]


@pytest.mark.parametrize(("value", "code"), [(1e9, None), (-1e9, None), (1.1e9, "value_out_of_range")])
def test_values_have_a_limit(send, event, value, code):
    assert send(event(value=value))[0]["code"] == code


def test_an_unknown_event_counts_as_other_and_says_so(send, score, event):
    assert outcome(send(event(event="teleport"))[0]) == ["accepted", None, ["unknown_event"]]
    assert score("u1")["results"][0]["status"] == "scored"


def test_a_score_sees_the_users_own_events_at_once(send, score, event):
    assert score("u1")["results"][0]["status"] == "cold_start"
    for days in (20, 10, 1):
        send(event(days=days))
        # 0.02 x days - 1 is the raw score at 30 days
        expected = 1 / (1 + 2.718281828459045 ** (1 - 0.02 * days))
        assert score("u1")["results"][0]["churn"][2]["probability"] == pytest.approx(expected, abs=1e-6)


def test_late_shuffled_and_repeated_events_give_the_state_of_the_ordered_log(send, client, event, world):
    rng = random.Random(7)
    events = [event(days=rng.randrange(1, 900), hours=rng.random(), event=rng.choice(["open", "read", "impression"]),
                    value=rng.choice([None, 1.25, 30])) for _ in range(300)]  # fmt: skip
    shuffled = rng.sample(events, k=300) + rng.choices(events, k=50)
    for start in range(0, 350, 35):
        send(*shuffled[start : start + 35])
    expected = UserState().fold(_events(events)).encode()
    stored = client.portal.call(client.app.state.services.states.get_many, ["u1"])["u1"]
    assert stored.encoded == expected
    assert stored.applied_seq == 300


def _events(events):
    for one in events:
        at = to_us(datetime.fromisoformat(one["occurred_at"]))
        yield Event(kind_code(one["event"]), at, thousandths(one["value"]))


def test_a_past_as_of_equals_a_refold_of_what_came_before(send, score, event, world):
    events = [
        event(days=days, event=kind, value=2) for days, kind in ((50, "open"), (40, "read"), (9, "like"), (2, "open"))
    ]
    send(*reversed(events))
    as_of = world.clock.now - timedelta(days=9)
    pointer = score("u1")["model"]
    scorer = ChurnScorer(read_bundle(world.settings.bundles / "churn" / pointer["digest"]))
    state = UserState().fold(one for one in _events(events) if one.at < to_us(as_of))
    expected = scorer.score(UserStates.decode([state.encode()]), to_us(as_of)).probability[0].tolist()
    answer = score("u1", as_of=as_of.isoformat())
    assert [one["probability"] for one in answer["results"][0]["churn"]] == expected
    assert answer["features_as_of"] == "2025-04-22T12:00:00Z"


def test_an_event_ahead_of_the_servers_clock_waits_for_its_time(send, score, event, world):
    send(event(days=10), event(occurred_at=(world.clock.now + timedelta(seconds=60)).isoformat()))
    late = score("u1")["results"][0]["churn"][0]["probability"]
    world.clock.now += timedelta(seconds=61)
    soon = score("u1")["results"][0]["churn"][0]["probability"]
    assert (late, soon) == (pytest.approx(0.549834, abs=1e-4), pytest.approx(0.5, abs=1e-4))


@pytest.mark.parametrize(
    ("changed", "pointer", "code"),
    [
        ({"event_id": ""}, "/events/0/event_id", "string_too_short"),
        ({"user_id": "u" * 129}, "/events/0/user_id", "string_too_long"),
        ({"user_id": "a\x00b"}, "/events/0/user_id", "string_pattern_mismatch"),
        ({"event": "x" * 65}, "/events/0/event", "string_too_long"),
        ({"occurred_at": "2025-05-01T00:00:00"}, "/events/0/occurred_at", "timezone_aware"),
        ({"occurred_at": 1746057600}, "/events/0/occurred_at", "instant_type"),
        ({"value": "3"}, "/events/0/value", "float_type"),
        ({"value": True}, "/events/0/value", "float_type"),
        ({"vlaue": 3}, "/events/0", "extra_forbidden"),
    ],
)
def test_a_malformed_event_is_pointed_at(client, event, changed, pointer, code):
    answer = client.post("/v1/events", json={"events": [event(**changed)]})
    assert answer.status_code == 422
    assert [(one["pointer"], one["code"]) for one in answer.json()["errors"]] == [(pointer, code)]


@pytest.mark.parametrize(
    ("changed", "pointer", "code"),
    [
        ({"note_id": ""}, "/events/1/note_id", "string_too_short"),
        ({"user_id": "a\ud83db"}, "/events/1/user_id", "string_unicode"),
        ({"occurred_at": "2025-05-01T00:00:00"}, "/events/1/occurred_at", "timezone_aware"),
        ({"occurred_at": "9999-12-31T23:59:59-01:00"}, "/events/1/occurred_at", "instant_range"),
        ({"value": 10**400}, "/events/1/value", "float_type"),
        ({"vlaue": 3}, "/events/1", "extra_forbidden"),
    ],
)
def test_a_malformed_event_among_others_is_rejected_for_itself(client, event, score, changed, pointer, code):
    before, good, after = event("before"), event(**changed), event("after")
    content = json.dumps({"events": [before, good, after]})
    answer = client.post("/v1/events", content=content, headers={"content-type": "application/json"})
    first, bad, last = answer.json()["results"]
    assert (first["status"], last["status"]) == ("accepted", "accepted")
    assert (bad["event_id"], bad["status"], bad["code"]) == (good["event_id"], "rejected", "malformed")
    assert [(one["pointer"], one["code"]) for one in bad["errors"]] == [(pointer, code)]
    assert [one["status"] for one in score("before", "after")["results"]] == ["scored", "scored"]


def test_what_is_no_event_at_all_is_rejected_for_itself(send, event):
    assert [one["status"] for one in send(5, event(), None, [])] == ["rejected", "accepted", "rejected", "rejected"]


def test_a_user_id_that_is_none_has_a_problem_of_its_own(score):
    known, bad = score("u1", "a\n")["results"]
    assert (known["status"], bad["status"], bad["code"]) == ("cold_start", "problem", "malformed")
    assert [one["pointer"] for one in bad["errors"]] == ["/user_ids/1"]


def test_a_batch_has_1_to_1000_events(client, event):
    for n, status in ((0, 422), (1000, 200), (1001, 422)):
        assert client.post("/v1/events", json={"events": [event() for _ in range(n)]}).status_code == status

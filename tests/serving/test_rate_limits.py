"""How fast a key may ask."""

import pytest

from serving.errors import RateLimitedError
from serving.metrics import Metrics
from serving.rate_limits import RateLimits
from serving.security import Scope, hash_secret, new_key
from serving.store.keys import StoredKey


def key(name="a", **fields):
    return StoredKey(name, "app", frozenset({"score"}), 0, **fields)


class Seconds:
    """A clock that stands until it is set."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def seconds():
    return Seconds()


@pytest.fixture
def taken(seconds):
    """Gives how many of so many requests a key may make at an instant; 3 a second unless it has its own limit."""
    limits = RateLimits(3, metrics=Metrics(), clock_s=seconds)

    def take(n, at_s=0.0, key=key()):  # noqa: B008 (a value)
        seconds.now, n_taken = at_s, 0
        for _ in range(n):
            try:
                limits.take(key)
            except RateLimitedError:
                continue
            n_taken += 1
        return n_taken

    return take


def test_a_key_may_ask_so_many_times_at_once_and_then_as_the_seconds_pass(taken):
    assert [taken(5, at) for at in (0, 0.3, 0.34, 1.01, 1.34, 60)] == [3, 0, 1, 2, 1, 3]


def test_keys_are_counted_apart_and_may_have_limits_of_their_own(taken):
    assert taken(5) == 3
    assert taken(5, key=key("b")) == 3
    assert taken(9, key=key("c", rate_limit_per_s=7)) == 7
    assert taken(999, key=key("d", rate_limit_per_s=0)) == 999


@pytest.fixture
def ask(world):
    """Asks a server with a limit of 2 a second, by keys made with fields."""
    world.registry.release()
    with world.open(open_access=False, rate_limit_per_s=2) as client:

        def make(**fields):
            secret = new_key()
            add = client.app.state.services.key_ring._keys.add
            client.portal.call(add, StoredKey(hash_secret(secret), "test", frozenset({Scope.SCORE}), 0, **fields))
            return lambda path="/v1/models": client.get(path, headers={"X-API-Key": secret})

        make.client = client
        yield make


def test_a_key_that_asks_too_fast_is_told_when_to_come_again(ask, eventually):
    hasty, patient = ask(rate_limit_per_s=1), ask(rate_limit_per_s=0)
    statuses = [hasty().status_code for _ in range(5)]
    assert (statuses[0], 429 in statuses) == (200, True)
    eventually(lambda: hasty().status_code == 200)
    refused = next(answer for answer in iter(hasty, None) if answer.status_code == 429)
    assert (refused.json()["code"], refused.headers["retry-after"]) == ("rate_limited", "1")
    assert refused.headers["content-type"] == "application/problem+json"
    assert {patient().status_code for _ in range(50)} == {200}
    assert "mingjian_rate_limited_total 0.0" not in ask.client.get("/metrics").text


def test_the_servers_limit_holds_for_keys_without_their_own_below_v2_too(ask):
    default = ask()
    answers = [default("/v2") for _ in range(6)]
    assert answers[0].status_code == answers[1].status_code == 200
    assert next(set(one.json()) for one in answers if one.status_code == 429) == {"error"}


def test_health_has_no_limit(ask):
    assert {ask.client.get("/livez").status_code for _ in range(20)} == {200}

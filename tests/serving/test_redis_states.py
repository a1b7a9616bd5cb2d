"""What only Redis does: lifetimes, budgets, and the loss of its script."""

import asyncio

import pytest
import redis.asyncio

from serving.store.redis_states import MAX_BYTES, open_redis
from serving.store.state import StateUpdate, StoredState

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client(redis_url):
    async with redis.asyncio.Redis.from_url(redis_url) as opened:
        yield opened


async def test_a_state_lives_so_long_after_its_last_change(redis_states, redis_prefix, client):
    await redis_states.put_many([StateUpdate("u", b"1", 1, 0)])
    await client.expire(f"{redis_prefix}:state:u", 5)
    await redis_states.put_many([StateUpdate("u", b"2", 2, 1)])
    assert 3590 <= await client.ttl(f"{redis_prefix}:state:u") <= 3600


async def test_a_state_over_the_budget_is_not_kept_and_the_others_are(redis_states):
    await redis_states.put_many([StateUpdate("u", b"1", 1, 0)])
    large = StateUpdate("u", bytes(MAX_BYTES + 1), 2, 1)
    assert await redis_states.put_many([large, StateUpdate("v", bytes(MAX_BYTES), 3, 0)]) == set()
    assert await redis_states.get_many(["u", "v"]) == {"v": StoredState(bytes(MAX_BYTES), 3)}


@pytest.mark.parametrize("value", [b"", b"1234567"])
async def test_a_value_too_short_for_a_state_is_none_and_is_replaced(redis_states, redis_prefix, client, value):
    await client.set(f"{redis_prefix}:state:u", value)
    assert await redis_states.get_many(["u"]) == {}
    assert await redis_states.put_many([StateUpdate("u", b"1", 1, 0)]) == set()
    assert await redis_states.get_many(["u"]) == {"u": StoredState(b"1", 1)}


async def test_a_script_that_redis_has_forgotten_is_loaded_again(own_redis):
    async with open_redis(own_redis.url, ttl_s=9, timeout_s=5, prefix="mingjian") as states:
        for n in range(1, 4):
            own_redis.client.script_flush()
            updates = [StateUpdate(f"u{n}", b"1", 1, 0), StateUpdate(f"v{n}", b"1", 1, 5)]
            assert await states.put_many(updates) == {f"v{n}"}


async def test_a_reset_leaves_the_keys_of_others(redis_states, redis_prefix, client):
    await client.set(f"{redis_prefix}:other", 1)
    await redis_states.put_many([StateUpdate("u", b"1", 1, 0)])
    await redis_states.reset(3)
    assert sorted([key.decode() async for key in client.scan_iter(f"{redis_prefix}:*")]) == [
        f"{redis_prefix}:generation",
        f"{redis_prefix}:highest",
        f"{redis_prefix}:other",
        f"{redis_prefix}:watermark",
    ]


async def test_more_callers_than_connections_wait_their_turn(redis_states):
    await redis_states.put_many([StateUpdate("u", b"1", 1, 0)])
    found = await asyncio.gather(*(redis_states.get_many(["u"]) for _ in range(300)))
    assert found == [{"u": StoredState(b"1", 1)}] * 300

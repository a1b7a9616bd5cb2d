"""The states in Redis: a cache that may lose any of them, since a user without a state is folded anew.

| key class | key | TTL | bytes at most |
| --- | --- | --- | --- |
| state | ``<prefix>:state:<user_id>`` | ``ttl_s`` after the last change | ``max_bytes`` |
| watermark | ``<prefix>:watermark`` | none | 20 |
| generation | ``<prefix>:generation`` | none | 20 |
| highest seq | ``<prefix>:highest`` | none | 20 |

A state's value is its ``applied_seq`` (8 bytes, little-endian), then the encoded state.
"""

import asyncio
import logging
import struct
from collections.abc import AsyncIterator, Awaitable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
)

from serving.errors import ReadOnlyStoreError, StoreError, UnfitStoreError
from serving.logs import coded, failure
from serving.store.redis_fitness import require_fit
from serving.store.state import StateUpdate, StoredState

T = TypeVar("T")

_log = logging.getLogger(__name__)

MAX_BYTES: Final = 64 * 1024
"""The budget of one state. A larger one (a year and more, daily, of every kind) is not kept but folded when wanted."""

_SEQ: Final = struct.Struct("<Q")
_PAGE: Final = 1_000
_N_CONNECTIONS: Final = 32
_NO_SUCH_DATABASE: Final = "DB index is out of range"

_PUT: Final = """
local stands = redis.call('GETRANGE', KEYS[1], 0, 7)
if #stands < 8 then stands = '' end
if stands == '' and ARGV[1] == '' and (redis.call('GET', KEYS[2]) or '0') ~= ARGV[4] then return 0 end
if stands == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
  if tonumber(redis.call('GET', KEYS[3]) or '0') < tonumber(ARGV[5]) then redis.call('SET', KEYS[3], ARGV[5]) end
  return 1
end
return stands == string.sub(ARGV[2], 1, 8) and 1 or 0
"""
"""Compare-and-set; what is too short for a state counts as none, and a first state is of the present generation.

A state that stands at the new one's seq already is the same state, whoever put it.
"""

_RAISE: Final = """
if tonumber(redis.call('GET', KEYS[1]) or '-1') < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1]) end
"""


class RedisStates:
    """A ``StateStore``. Each method is one round trip, but for the first put after Redis has forgotten the script."""

    def __init__(self, redis: Redis, *, ttl_s: int, timeout_s: float, prefix: str, max_bytes: int) -> None:
        self._redis = redis
        self._ttl_s = ttl_s
        self._timeout_s = timeout_s
        self._prefix = prefix
        self._max_bytes = max_bytes
        self._put = redis.register_script(_PUT)
        self._raise = redis.register_script(_RAISE)

    async def get_many(self, user_ids: Collection[str]) -> dict[str, StoredState]:
        """See ``StateStore``."""
        if not user_ids:
            return {}
        values = await self._bounded(self._redis.mget([self._key(one) for one in user_ids]))
        found = zip(user_ids, values, strict=True)
        return {
            user_id: _stored(value) for user_id, value in found if isinstance(value, bytes) and len(value) >= _SEQ.size
        }

    async def put_many(self, updates: Sequence[StateUpdate]) -> set[str]:
        """See ``StateStore``; a state over the budget is dropped."""
        return await self._bounded(self._put_many(updates)) if updates else set()

    async def _put_many(self, updates: Sequence[StateUpdate]) -> set[str]:
        results = await self._pipelined(updates)
        if any(isinstance(one, NoScriptError) for one in results):
            await self._redis.script_load(_PUT)
            results = await self._pipelined(updates)
        for one in results:
            if isinstance(one, RedisError):
                raise one
        return {update.user_id for update, put in zip(updates, results, strict=True) if not put}

    async def _pipelined(self, updates: Sequence[StateUpdate]) -> list[Any]:
        async with self._redis.pipeline(transaction=False) as pipeline:
            for one in updates:
                key = self._key(one.user_id)
                if len(one.encoded) > self._max_bytes:
                    pipeline.eval("redis.call('UNLINK', KEYS[1]) return 1", 1, key)
                    continue
                expected = _SEQ.pack(one.expected_seq) if one.expected_seq else b""
                value = _SEQ.pack(one.applied_seq) + one.encoded
                keys, seqs = (key, self._generation, self._highest), (one.generation, one.applied_seq)
                pipeline.evalsha(self._put.sha, len(keys), *keys, expected, value, self._ttl_s, *seqs)
            return await pipeline.execute(raise_on_error=False)

    async def watermark(self) -> int:
        """See ``StateStore``."""
        return int(await self._bounded(self._redis.get(self._watermark)) or 0)

    async def highest_seq(self) -> int:
        """See ``StateStore``."""
        return int(await self._bounded(self._redis.get(self._highest)) or 0)

    async def advance_watermark(self, seq: int) -> None:
        """See ``StateStore``."""
        await self._bounded(self._raise(keys=[self._watermark], args=[seq]))

    async def check(self) -> None:
        """See ``StateStore``. A Redis that is full passes: what it knows is still read."""
        try:
            require_fit(await self._bounded(self._redis.info()))
        except UnfitStoreError as error:
            if not isinstance(error.__cause__, NoPermissionError):  # INFO may be kept from us, who need not ask
                raise
        try:
            await self._bounded(self._redis.incrby(self._generation, 0))
        except StoreError as error:
            if not isinstance(error.__cause__, OutOfMemoryError):
                raise

    async def generation(self) -> int:
        """See ``StateStore``."""
        return int(await self._bounded(self._redis.get(self._generation)) or 0)

    async def held(self, user_id: str) -> StoredState | None:
        """See ``StateStore``."""
        return (await self.get_many([user_id])).get(user_id)

    async def erase(self, user_id: str) -> None:
        """See ``StateStore``."""
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.incr(self._generation)
            pipeline.unlink(self._key(user_id))
            await self._bounded(pipeline.execute())

    async def reset(self, watermark: int) -> None:
        """See ``StateStore``. Users go page by page: one that is put meanwhile may stay, and is right."""
        cursor = None
        while cursor != 0:
            page = self._redis.scan(cursor or 0, match=self._key("*"), count=_PAGE)
            cursor, keys = await self._bounded(page)
            if keys:
                await self._bounded(self._redis.unlink(*keys))
        await self._bounded(self._redis.mset({self._watermark: watermark, self._highest: watermark}))

    async def _bounded(self, command: Awaitable[T]) -> T:
        """The command's answer; StoreError where it fails or takes too long."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await command
        except ReadOnlyError as error:
            await self._redis.connection_pool.disconnect(inuse_connections=False)  # the name may lead elsewhere by now
            raise ReadOnlyStoreError("Redis takes no writes") from error
        except (AuthenticationError, NoPermissionError) as error:
            raise UnfitStoreError(f"Redis refuses this user ({coded(error)})") from error
        except (RedisError, OSError) as error:  # a timeout is an OSError
            raise StoreError("the states can't be reached") from error

    def _key(self, user_id: str) -> str:
        return f"{self._prefix}:state:{user_id}"

    @property
    def _watermark(self) -> str:
        return f"{self._prefix}:watermark"

    @property
    def _generation(self) -> str:
        return f"{self._prefix}:generation"

    @property
    def _highest(self) -> str:
        return f"{self._prefix}:highest"


def _stored(value: bytes) -> StoredState:
    return StoredState(value[_SEQ.size :], *_SEQ.unpack_from(value))


@asynccontextmanager
async def open_redis(
    url: str, *, ttl_s: int, timeout_s: float, prefix: str, max_bytes: int = MAX_BYTES
) -> AsyncIterator[RedisStates]:
    """The states; Redis itself need not be there yet, but UnfitStoreError where it is and can't serve.

    A connection that went stale is replaced and the command sent once more: all of them may be repeated.
    """
    async with Redis.from_pool(_pool(url, timeout_s)) as redis:
        states = RedisStates(redis, ttl_s=ttl_s, timeout_s=timeout_s, prefix=prefix, max_bytes=max_bytes)
        await _look(states)
        yield states


def _pool(url: str, timeout_s: float) -> BlockingConnectionPool:
    try:
        return BlockingConnectionPool.from_url(
            url,
            max_connections=_N_CONNECTIONS,
            timeout=timeout_s,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), retries=1),
        )
    except ValueError as error:
        raise UnfitStoreError("the URL of the states can't be read") from error


async def _look(states: RedisStates) -> None:
    try:
        await states.check()
    except TypeError as error:  # the driver finds out as it connects
        raise UnfitStoreError("the URL of the states has an option that the driver does not know") from error
    except UnfitStoreError as error:
        raise UnfitStoreError(f"the states can't be kept in this Redis: {error}") from error
    except StoreError as error:
        if _NO_SUCH_DATABASE in str(error.__cause__):
            raise UnfitStoreError(f"the states can't be kept in this Redis: {_NO_SUCH_DATABASE}") from error
        _log.warning("the states can't be put into Redis yet", extra=failure(error))

"""Slow work has a thread of its own and a bounded queue."""

import asyncio
import threading

import pytest

from serving.errors import BusyError
from serving.workers import MAX_SLOW, NotReachedError, TooSlowError, Workers


@pytest.mark.anyio
async def test_slow_work_beyond_the_bound_is_refused_at_once_and_holds_up_nothing_else():
    workers, release = Workers(), threading.Event()
    waiting = [asyncio.create_task(workers.run_slow(release.wait, 10)) for _ in range(MAX_SLOW)]
    await asyncio.sleep(0)  # each has now been handed to the thread
    with pytest.raises(BusyError):
        await workers.run_slow(int)
    assert await workers.run(1000, int) == 0
    release.set()
    assert all(await asyncio.gather(*waiting))
    assert await workers.run_slow(int) == 0
    workers.close()


@pytest.mark.anyio
async def test_pieces_are_done_in_order_of_asking_whoever_else_asks():
    workers = Workers(n_threads=3)
    doubled = await asyncio.gather(*(workers.run_each(lambda n: 2 * n, range(k), timeout_s=30) for k in (0, 1, 50)))
    assert doubled == [[], [0], [2 * n for n in range(50)]]
    assert workers.n_pieces == 0
    workers.close()


@pytest.mark.anyio
async def test_few_pieces_do_not_wait_for_anothers_many():
    workers, order = Workers(n_threads=1), []
    many = asyncio.create_task(workers.run_each(order.append, ["many"] * 50, timeout_s=30))
    few = asyncio.create_task(workers.run_each(order.append, ["few"], timeout_s=30))
    await asyncio.gather(many, few)
    assert order.index("few") <= 2
    workers.close()


@pytest.mark.anyio
async def test_more_pieces_than_may_wait_are_refused_at_once():
    workers, release = Workers(n_threads=1, max_pieces=3), threading.Event()
    waiting = asyncio.create_task(workers.run_each(release.wait, [10, 10], timeout_s=30))
    await asyncio.sleep(0)
    with pytest.raises(BusyError):
        await workers.run_each(abs, [1, 2], timeout_s=30)
    third = asyncio.create_task(workers.run_each(abs, [-1], timeout_s=30))
    release.set()
    assert (await waiting, await third) == ([True, True], [1])
    workers.close()


@pytest.mark.anyio
async def test_what_is_not_done_in_time_was_too_slow_or_not_reached_and_what_was_begun_ends():
    workers, release = Workers(n_threads=1), threading.Event()

    def piece(n):
        return n if n == 0 else release.wait(10)

    done, slow, waiting = await workers.run_each(piece, [0, 1, 2], timeout_s=0.2)
    assert (done, type(slow), type(waiting)) == (0, TooSlowError, NotReachedError)
    release.set()
    assert await workers.run_each(piece, [0], timeout_s=30) == [0]
    workers.close()


@pytest.mark.anyio
async def test_a_piece_that_fails_fails_alone():
    workers = Workers(n_threads=2)
    first, failed, last = await workers.run_each(lambda n: 1 / n, [1, 0, 2], timeout_s=30)
    assert (first, type(failed), last) == (1, ZeroDivisionError, 0.5)
    assert await workers.run_each(abs, [-1], timeout_s=30) == [1]
    workers.close()

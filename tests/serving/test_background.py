"""Repeated work: it goes on after a failure, and it ends with its context whatever it is doing."""

import asyncio

from serving.background import repeated


def test_work_that_takes_a_cancellation_for_a_failure_ends_all_the_same():
    began = asyncio.Event()

    async def step():
        began.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            if asyncio.current_task().cancelling() == 1:
                raise ConnectionError("lost") from None
            raise

    async def run():
        async with repeated(step, every_s=0):
            await began.wait()

    asyncio.run(asyncio.wait_for(run(), timeout=10))


def test_work_that_failed_comes_again():
    rounds = []

    async def run():
        done = asyncio.Event()

        async def step():
            rounds.append(len(rounds))
            if len(rounds) == 3:
                done.set()
            raise ConnectionError("lost")

        async with repeated(step, every_s=0):
            await done.wait()

    asyncio.run(asyncio.wait_for(run(), timeout=10))
    assert rounds == [0, 1, 2]

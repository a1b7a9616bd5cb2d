"""Repeated work: it goes on after a failure, and it ends with its context whatever it is doing."""

import asyncio
from contextlib import suppress

from serving.background import repeated


def ends(step, began):
    """Whether work in the middle of ``step`` ends with its context; TimeoutError where it does not."""

    async def run():
        async with repeated(step, every_s=0):
            await began.wait()
        return True

    return asyncio.run(asyncio.wait_for(run(), timeout=10))


def test_work_ends_even_if_a_step_takes_every_cancellation_for_a_failure():
    began = asyncio.Event()

    async def step():
        began.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            raise TimeoutError from None

    assert ends(step, began)


def test_work_ends_even_if_a_step_swallows_a_cancellation_and_goes_on():
    began = asyncio.Event()

    async def step():
        began.set()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)
        await asyncio.sleep(3600)

    assert ends(step, began)


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

"""Slow work has a thread of its own and a bounded queue."""

import asyncio
import threading

import pytest

from serving.errors import BusyError
from serving.workers import MAX_SLOW, Workers


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

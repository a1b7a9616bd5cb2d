"""The group writer by itself: which jobs run together, which run again, and which not at all."""

import asyncio

import pytest

from serving.errors import StoreError
from serving.store.group_writer import GroupWriter

pytestmark = pytest.mark.anyio


class Transactions:
    """Notes the groups it is given; ``fail`` is called on each before it takes effect."""

    def __init__(self, fail):
        self.groups = []
        self._fail = fail

    async def __call__(self, jobs):
        self.groups.append(jobs)
        await asyncio.sleep(0)
        self._fail(jobs)
        return jobs


async def test_a_database_that_takes_nothing_is_asked_once_per_group():
    def fail(jobs):
        raise StoreError("locked")

    transactions = Transactions(fail)
    writer = GroupWriter(transactions, timeout_s=30)
    results = await asyncio.gather(*map(writer.write, "abc"), return_exceptions=True)
    assert [type(one) for one in results] == [StoreError] * 3
    assert transactions.groups == [["a", "b", "c"]]


async def test_a_job_whose_caller_gave_up_is_not_run_again_alone():
    def fail(jobs):
        if len(jobs) > 1:
            writes[1].cancel()
            raise ValueError

    transactions = Transactions(fail)
    writer = GroupWriter(transactions, timeout_s=30)
    writes = [asyncio.create_task(writer.write(job)) for job in "abc"]
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert [results[0], type(results[1]), results[2]] == ["a", asyncio.CancelledError, "c"]
    assert transactions.groups == [["a", "b", "c"], ["a"], ["c"]]


async def test_closing_waits_no_longer_than_a_write_may_take():
    async def hang(jobs):
        await asyncio.Event().wait()

    writer = GroupWriter(hang, timeout_s=0.05)
    write = asyncio.create_task(writer.write("a"))
    await asyncio.sleep(0)
    await writer.close()
    with pytest.raises(StoreError):
        await write

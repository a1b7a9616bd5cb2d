"""Repeated work: it goes on after a failure, and it ends with its context whatever it is doing."""

import asyncio
from contextlib import suppress

import pytest

from serving.background import Illness, Jobs, repeated
from serving.each import do_each
from serving.metrics import Metrics


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


class Watched:
    """A job that is called by hand; ``steps`` are what its rounds do, one after another."""

    def __init__(self, *steps, timeout_s=10.0):
        self.metrics, self._steps = Metrics(), iter(steps)
        self.jobs = Jobs(self.metrics)
        self.jobs.repeated("sweep", self._step, every_s=1, timeout_s=timeout_s)

    async def _step(self):
        await next(self._steps)()

    def go(self):
        with suppress(Exception):
            asyncio.run(self.jobs._jobs[0]())
        return self.jobs.ill()

    def value(self, name):
        return self.metrics.registry.get_sample_value(f"mingjian_background_{name}", {"job": "sweep"})


async def passes():
    """A step that ends well."""


async def breaks():
    raise ConnectionError("lost")


async def hangs():
    await asyncio.Event().wait()


async def leaves_two_out():
    await do_each(breaks_at(2, 4), (1, 2, 3, 4, 5))


def breaks_at(*bad):
    async def do(item):
        if item in bad:
            raise ValueError(item)

    return do


@pytest.mark.parametrize(
    ("step", "illness", "n_failures"),
    [
        (breaks, Illness.FAILING, 1),
        (leaves_two_out, Illness.ITEMS_FAILING, 2),
        (hangs, Illness.TIMED_OUT, 1),
    ],
)
def test_a_job_is_ill_until_a_round_ends_well(step, illness, n_failures):
    job = Watched(step, passes, timeout_s=0.05)
    assert job.value("failures_total") == 0
    assert job.go() == {"sweep": illness}
    assert job.value("failures_total") == n_failures
    assert job.go() == {}
    assert job.value("last_success_seconds") > 1.7e9


def test_a_job_of_which_no_round_is_complete_for_long_has_stalled():
    job = Watched(breaks, passes, timeout_s=-1)  # two rounds of it, and the pause, are over before they begin
    assert job.jobs.ill() == {"sweep": Illness.STALLED}
    assert job.value("stalled") == 1


def test_what_fails_in_a_round_keeps_nothing_else_from_being_done():
    done = []

    async def do(item):
        await breaks_at(1, 3)(item)
        done.append(item)

    with pytest.raises(ExceptionGroup) as raised:
        asyncio.run(do_each(do, (1, 2, 3, 4)))
    assert (done, [str(one) for one in raised.value.exceptions]) == ([2, 4], ["1", "3"])

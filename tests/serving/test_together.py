"""Questions answered together: each answer belongs to its question, and one that fails fails alone."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.together import Together


class Doubling:
    """Answers numbers with their double, fails for negative ones, and remembers what it was asked at once."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []

    async def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.groups.append(list(numbers))
        await asyncio.sleep(0)
        if min(numbers) < 0:
            raise ValueError(min(numbers))
        return [2 * number for number in numbers]


async def ask_all(together: Together[int, int], numbers: Sequence[int]) -> list[int | BaseException]:
    return await asyncio.gather(*map(together.ask, numbers), return_exceptions=True)


@given(st.lists(st.integers(-3, 50), max_size=40), st.integers(1, 8))
def test_each_question_gets_its_own_answer_or_its_own_error(numbers, at_most):
    doubling = Doubling()
    answers = asyncio.run(ask_all(Together(doubling, at_most=at_most), numbers))
    assert [answer if number >= 0 else answer.args for number, answer in zip(numbers, answers, strict=True)] == [
        2 * number if number >= 0 else (number,) for number in numbers
    ]
    assert max(map(len, doubling.groups), default=0) <= at_most


def test_questions_of_one_moment_go_together():
    doubling = Doubling()
    asyncio.run(ask_all(Together(doubling, at_most=4), range(6)))
    assert doubling.groups == [[0, 1, 2, 3], [4, 5]]


def test_whoever_stops_waiting_takes_nothing_from_the_others():
    async def run():
        together = Together(Doubling(), at_most=4)
        gone, stays = (asyncio.ensure_future(together.ask(number)) for number in (1, 2))
        await asyncio.sleep(0)
        gone.cancel()
        assert await stays == 4
        with pytest.raises(asyncio.CancelledError):
            await gone

    asyncio.run(run())

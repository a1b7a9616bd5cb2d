"""Questions that come at the same moment, answered together."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeAlias, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")

_Group: TypeAlias = list[tuple[Q, asyncio.Future[A]]]


class Together(Generic[Q, A]):
    """Hands questions, ``at_most`` so many in one go, to ``answer``, which gives an answer to each in order.

    They gather for as long as each turn of the event loop brings more; no clock is involved, and a lone question goes
    after two turns (some 10 us). Where an answer to many fails, each is asked again alone: no question can spoil
    another's answer.
    """

    def __init__(self, answer: Callable[[Sequence[Q]], Awaitable[Sequence[A]]], *, at_most: int) -> None:
        self._answer = answer
        self._at_most = at_most
        self._gathered: _Group[Q, A] = []
        self._under_way: set[asyncio.Future[Sequence[A]]] = set()

    async def ask(self, question: Q) -> A:
        """The answer, or the error of asking for it alone."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[A] = loop.create_future()
        if not self._gathered:
            loop.call_soon(self._look, 0)
        self._gathered.append((question, future))
        return await future

    def _look(self, n_before: int) -> None:
        if len(self._gathered) > n_before:
            asyncio.get_running_loop().call_soon(self._look, len(self._gathered))
            return
        group, self._gathered = self._gathered, []
        for start in range(0, len(group), self._at_most):
            self._start(group[start : start + self._at_most])

    def _start(self, group: _Group[Q, A]) -> None:
        questions = [question for question, _ in group]
        self._under_way.add(answering := asyncio.ensure_future(self._answer(questions)))  # the loop would let go of it
        answering.add_done_callback(lambda done: self._settle(group, done))

    def _settle(self, group: _Group[Q, A], done: asyncio.Future[Sequence[A]]) -> None:
        self._under_way.discard(done)
        error = done.exception()
        if error and len(group) > 1:
            for one in group:
                self._start([one])
            return
        answers = [] if error else done.result()
        for place, (_, future) in enumerate(group):
            if future.done():  # whoever asked has gone
                continue
            if error:
                future.set_exception(error)
            else:
                future.set_result(answers[place])

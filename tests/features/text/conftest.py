"""How the time that a text takes grows with its length."""

import time
from collections.abc import Callable

import pytest


@pytest.fixture(scope="session")
def growth() -> Callable[[Callable[[str], object], str], float]:
    """How many times the CPU time of 2,000 characters of repeated text 200,000 take: 100 if each takes the same time,
    10,000 if each takes as long as there are others. What else a machine does makes up no such difference.
    """

    def seconds(call: Callable[[str], object], text: str) -> float:
        began = time.process_time()
        call(text)
        return time.process_time() - began

    def measure(call: Callable[[str], object], unit: str) -> float:
        small = min(seconds(call, unit * (2_000 // len(unit))) for _ in range(5))
        return seconds(call, unit * (200_000 // len(unit))) / small

    return measure

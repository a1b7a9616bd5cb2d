"""Runs the live models' graphs on rows that callers computed."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np

from models.bundle import Arrays
from models.runtime import OnnxRunner
from serving.together import Together
from serving.workers import Workers

_TOGETHER: Final = 32
"""How many rows that come alone, at the same moment, are run in one go at most."""

_Row: TypeAlias = tuple[OnnxRunner, Arrays]


class Inference:
    """Requests of one row each that come at the same moment share a run, with the same answers bit for bit."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._together = Together(self._run_each, at_most=_TOGETHER)

    async def run(self, runner: OnnxRunner, inputs: Arrays, *, n_rows: int) -> Arrays:
        """The outputs by name; ContractError for inputs that are not the contract's."""
        if n_rows == 1:
            return await self._together.ask((runner, inputs))
        return await self._workers.run(n_rows, runner.run, inputs)

    async def _run_each(self, rows: Sequence[_Row]) -> list[Arrays]:
        places = defaultdict[OnnxRunner, list[int]](list)
        for place, (runner, _) in enumerate(rows):
            places[runner].append(place)
        answers: dict[int, Arrays] = {}
        for runner, own in places.items():
            names = rows[own[0]][1]
            outputs = runner.run({name: np.concatenate([rows[place][1][name] for place in own]) for name in names})
            for row, place in enumerate(own):
                answers[place] = {name: array[row : row + 1] for name, array in outputs.items()}
        return [answers[place] for place in range(len(rows))]

"""Says what a run is doing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

Progress = Callable[[str, int, int], None]
"""Told what is being done, the steps done and the steps in all."""


def silent(what: str, done: int, total: int) -> None:
    """Progress that nobody is told of."""


@contextmanager
def shown_progress() -> Iterator[Progress]:
    """A line on stderr: what is being done, for how long, and how long it may yet take."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task("starting", total=1)
        yield lambda what, done, total: shown.update(task, description=what, completed=done, total=total)

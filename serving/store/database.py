"""A database as the journal and the keys use it: jobs that read, jobs that write, whichever dialect runs them."""

from collections.abc import Callable
from typing import Protocol, TypeAlias, TypeVar

from sqlalchemy import Connection

T = TypeVar("T")
Job: TypeAlias = Callable[[Connection], T]
"""What is done with a connection, inside a transaction that others make."""


class Database(Protocol):
    """Runs jobs; StoreError where one fails or takes too long."""

    async def write(self, job: Job[T]) -> T:
        """The result of a job once all its changes are durable; after a StoreError they may be, or not at all.

        A job may run twice before it takes effect once.
        """
        ...

    async def read(self, job: Job[T], *, many: bool) -> T:
        """The result of a job that only reads; ``many`` where that may be more than a few rows."""
        ...

    async def read_long(self, job: Job[T]) -> T:
        """The result of a job that reads much, and for long; what is read meanwhile does not wait for it."""
        ...

    async def scrub(self) -> None:
        """Leave nothing in the files of what was deleted, as far as this database can; StoreError if not now."""
        ...

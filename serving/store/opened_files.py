"""The files behind an open SQLite database: are they still those that were opened?"""

from pathlib import Path
from typing import Final

from serving.errors import StoreError

_SUFFIXES: Final = ("", "-wal", "-shm")


class OpenedFiles:
    """A database's file, its log and the log's index; what is written to one that lost its name is lost."""

    def __init__(self, path: Path) -> None:
        self._paths = [path.with_name(f"{path.name}{suffix}") for suffix in _SUFFIXES]
        self._opened = [_identity(one) for one in self._paths]

    def check(self) -> None:
        """StoreError where one was deleted or replaced."""
        if [_identity(one) for one in self._paths] != self._opened:
            raise StoreError("the database file was deleted or replaced under the server")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino

"""A TOML text as data, and the line that each key and each entry of an array stands on.

tomllib keeps no positions, and no maintained parser that does is small enough to serve with. So the text is cut into
its statements with tomllib's own help: a statement is the fewest whole lines, from where the last one ended, that
tomllib takes as TOML by themselves. In the same way an entry of an array that spans lines stands on the first line
after which the array, closed there, holds it. Both are exact: what tomllib reads is what counts.
"""

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from models.policy.errors import PolicyError, Problem

Path: TypeAlias = tuple[str | int, ...]
"""Keys and places in arrays, from the top."""

_MAX_LINES: Final = 200
"""A statement of more lines than these is taken for one that never ends."""


class Document(NamedTuple):
    """The data of a TOML text, and the line (from 1) of each of its paths."""

    data: Mapping[str, Any]
    lines: Mapping[Path, int]

    def line(self, path: Path) -> int:
        """The line of a path, or of the nearest path around it that stands on one; 1 for the whole."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read_document(text: str) -> Document:
    """The text as a document; PolicyError, with the line, for what is no TOML."""
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits, or arrays in arrays in arrays
        message, _, place = str(error).partition(" (at ")
        line = place.removeprefix("line ").partition(",")[0]
        at = int(line) if line.isdigit() else text.count("\n") + 1
        raise PolicyError([Problem(at, "not_toml", f"not TOML: {message[:1].lower()}{message[1:]}")]) from error
    return Document(data, dict(_paths(text.split("\n"))))


def _paths(lines: list[str]) -> Iterator[tuple[Path, int]]:
    base: Path = ()
    n_entries: dict[Path, int] = {}
    at = 0
    while at < len(lines):
        n_lines, found = _statement(lines, at)
        if found and lines[at].lstrip().startswith("["):
            base = _header(found, n_entries)
            yield base, at + 1
        else:
            for path, value in _leaves(found, base):
                yield path, at + 1
                if isinstance(value, list):
                    yield from _entries(lines[at : at + n_lines], path, value, at)
        at += n_lines


def _statement(lines: list[str], at: int) -> tuple[int, dict[str, Any]]:
    """How many lines the statement that begins at a line has, and what it says by itself."""
    for n_lines in range(1, min(_MAX_LINES, len(lines) - at) + 1):
        found = _parsed("\n".join(lines[at : at + n_lines]))
        if found is not None:
            return n_lines, found
    return 1, {}


def _header(found: Mapping[str, Any], n_entries: dict[Path, int]) -> Path:
    """The path that a table's header opens: of ``[[rules]]`` the next entry, of a table below it in the last one."""
    path: Path = ()
    here: Any = found
    while here:
        if isinstance(here, list):
            n_entries[path] = n_entries.get(path, 0) + 1
            return (*path, n_entries[path] - 1)
        ((key, here),) = here.items()
        path = (*path, key)
        if path in n_entries and not isinstance(here, list):
            path = (*path, n_entries[path] - 1)
    return path


def _leaves(found: Mapping[str, Any], base: Path) -> Iterator[tuple[Path, Any]]:
    for key, value in found.items():
        yield (*base, key), value
        if isinstance(value, dict):
            yield from _leaves(value, (*base, key))


def _entries(lines: list[str], path: Path, value: list[Any], at: int) -> Iterator[tuple[Path, int]]:
    n_found = 0
    for n_lines in range(1, len(lines) + 1):
        closed = _parsed("\n".join([*lines[:n_lines], "]"])) if n_lines < len(lines) else None
        n_now = len(value) if n_lines == len(lines) else len(_first(closed)) if closed else n_found
        for place in range(n_found, n_now):
            yield (*path, place), at + n_lines
        n_found = max(n_found, n_now)


def _first(found: Mapping[str, Any]) -> list[Any]:
    """The array that a statement sets, however deep its dotted key leads."""
    here: Any = found
    while isinstance(here, dict):
        here = next(iter(here.values()))
    return here if isinstance(here, list) else []


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError):
        return None

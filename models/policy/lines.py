"""A TOML text as data, and the line that each key and each entry of an array stands on.

tomllib keeps no positions, and no maintained parser that does is small enough to serve with. So the text is cut into
its statements: a statement ends with the line on which no bracket is open any more, brackets in strings and comments
aside. tomllib then reads each by itself. All of it takes time in proportion to the length of the text.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from models.policy.errors import PolicyError, Problem

Path: TypeAlias = tuple[str | int, ...]
"""Keys and places in arrays, from the top."""

_MAX_DEPTH: Final = 8
"""How many tables and arrays may lie in each other: a policy has no use for more than four."""
_MAX_DOTS: Final = 50
"""How many dots a line may have outside of strings: tomllib's time grows with the square of a dotted key's parts."""
_MAX_INTEGER: Final = 2**63 - 1
"""TOML 1.0 asks for no more; tomllib reads any."""

_TOKEN: Final = re.compile(
    r'"""(?:[^"\\]|\\.|"{1,2}(?!"))*+"{3,5}'
    r"|'''(?:[^']|'{1,2}(?!'))*+'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*+"'
    r"|'[^'\n]*+'"
    r"|#[^\n]*+"
    r"|[\[\]{},\n]",
    re.DOTALL,
)
"""What tells statements apart: strings, comments, brackets, commas, and the ends of lines."""


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
    """The text as a document; PolicyError, with the line, for what is no TOML, or holds what no policy can mean."""
    _require_few_dots(text)
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits, or arrays in arrays in arrays
        message, _, place = str(error).partition(" (at ")
        line = place.removeprefix("line ").partition(",")[0]
        at = int(line) if line.isdigit() else text.count("\n") + 1
        raise PolicyError([Problem(at, "not_toml", f"not TOML: {message[:1].lower()}{message[1:]}")]) from error
    values = [*_values(data)]
    if any(len(path) > _MAX_DEPTH for path, _ in values):
        raise PolicyError([Problem(1, "bad_type", f"more than {_MAX_DEPTH} tables and arrays lie in each other")])
    document = Document(data, dict(_paths(text)))
    too_large = [path for path, value in values if isinstance(value, int) and abs(value) > _MAX_INTEGER]
    if too_large:
        what = "this whole number has more than 64 bits"
        raise PolicyError([Problem(document.line(path), "out_of_range", what) for path in too_large])
    return document


def _require_few_dots(text: str) -> None:
    at, line, n_dots = 0, 1, 0
    for token in _TOKEN.finditer(text + "\n"):
        n_dots += text.count(".", at, token.start())
        if n_dots > _MAX_DOTS:
            raise PolicyError([Problem(line, "not_toml", f"more than {_MAX_DOTS} dots outside of strings")])
        at = token.end()
        line += token[0].count("\n")
        n_dots = 0 if token[0] == "\n" else n_dots


def _values(data: Mapping[str, Any]) -> Iterator[tuple[Path, Any]]:
    """Every value with its path; of what lies too deep, the outermost part alone."""
    left: list[tuple[Path, Any]] = [((), data)]
    while left:
        path, value = left.pop()
        yield path, value
        if len(path) <= _MAX_DEPTH and isinstance(value, dict | list):
            inner = value.items() if isinstance(value, dict) else enumerate(value)
            left += [((*path, step), one) for step, one in inner]


class _Statement(NamedTuple):
    """Whole lines that say something by themselves; ``entry_lines`` are of the entries of the array they set."""

    line: int
    text: str
    entry_lines: Sequence[int]


def _statements(text: str) -> Iterator[_Statement]:
    start = at = depth = 0
    first_line = line = 1
    entry_lines: list[int] = []
    is_entry_due = False
    for token in _TOKEN.finditer(text):
        kind = token[0][0]
        if is_entry_due and (text[at : token.start()].strip() or kind in "\"'[{"):
            entry_lines.append(line)
            is_entry_due = False
        at = token.end()
        depth += (kind in "[{") - (kind in "]}")
        is_entry_due |= depth == 1 and kind in "[,"
        line += token[0].count("\n")
        if kind == "\n" and depth == 0:
            yield _Statement(first_line, text[start:at], entry_lines)
            start, first_line, entry_lines = at, line, []
    yield _Statement(first_line, text[start:], entry_lines)


def _paths(text: str) -> Iterator[tuple[Path, int]]:
    base: Path = ()
    n_entries: dict[Path, int] = {}
    for statement in _statements(text):
        found = tomllib.loads(statement.text)
        if found and statement.text.lstrip().startswith("["):
            base = _header(found, n_entries)
            yield base, statement.line
            continue
        for path, value in _leaves(found, base):
            yield path, statement.line
            if isinstance(value, list):
                yield from (((*path, place), line) for place, line in enumerate(statement.entry_lines[: len(value)]))


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

"""A slot's pointer is replaced whole and never leads out of its folder."""

import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from json import dumps
from pathlib import Path
from typing import Any

import pytest

from models.errors import BundleError
from models.pointer import Pointer, parse_pointer, pointer_path, write_pointer

POINTER = Pointer("ab" * 32, "3", "2026-05-01T00:00:00+00:00", {"passed": True})


def test_a_pointer_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_pointer(tmp_path, "churn", "champion", POINTER)
    path = pointer_path(tmp_path, "churn", "champion")
    assert path == tmp_path / "churn" / "champion.json"
    assert parse_pointer(path.read_text(encoding="utf-8")) == POINTER
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_reader_sees_the_old_pointer_or_the_new_one(tmp_path: Path) -> None:
    path = pointer_path(tmp_path, "churn", "champion")
    write_pointer(tmp_path, "churn", "champion", POINTER)

    def write(number: int) -> None:
        write_pointer(tmp_path, "churn", "champion", replace(POINTER, version=str(number)))

    with ThreadPoolExecutor(4) as threads:
        writes = [threads.submit(write, number) for number in range(100)]
        while not all(done.done() for done in writes):
            assert parse_pointer(path.read_text(encoding="utf-8")).digest == POINTER.digest
    assert [file.name for file in path.parent.iterdir()] == ["champion.json"]


@pytest.mark.parametrize(
    "change",
    [{"digest": "../" * 21 + "x"}, {"digest": "ab"}, {"digest": None}, {"gates": "passed"}, {"gates": None}],
)
def test_a_pointer_to_no_digest_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(BundleError, match="not a pointer"):
        parse_pointer(dumps(asdict(POINTER) | change))


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "{}", '"digest"', "[" * 100_000])
def test_what_is_no_pointer_is_refused(text: str) -> None:
    with pytest.raises(BundleError, match="not a pointer"):
        parse_pointer(text)

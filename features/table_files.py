"""Where the tables of a dataset lie: each as one file, or as a folder of parts such as Spark writes."""

import gzip
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO, cast

from features.errors import DataError
from features.schema import TABLES

_PARQUET: Final = (".parquet",)
_CSV: Final = (".csv", ".csv.gz")


@dataclass(frozen=True, slots=True)
class TableFiles:
    """A table's file or folder, which messages name, and its parts in order: a file is its own only one."""

    path: Path
    parts: tuple[Path, ...]

    @property
    def is_folder(self) -> bool:
        """Whether the parts lie in a folder."""
        return self.parts != (self.path,)

    @property
    def is_csv(self) -> bool:
        """Whether the parts are text, or else Parquet."""
        return not self.parts[0].name.endswith(_PARQUET)

    def digest(self) -> str:
        """SHA-256 of the file, or of the digests of a folder's parts with their names."""
        if not self.is_folder:
            return _digest(self.path)
        lines = [f"{part.relative_to(self.path).as_posix()} {_digest(part)}\n" for part in self.parts]
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def find_tables(folder: Path) -> dict[str, TableFiles]:
    """The tables of a folder by name; DataError where there is none, or a table is there twice or without a part."""
    if not folder.is_dir():
        raise DataError(f"{folder}: not a folder")
    found: dict[str, TableFiles] = {}
    for name in TABLES:
        paths = [path for suffix in (*_PARQUET, *_CSV) if (path := folder / f"{name}{suffix}").exists()]
        if len(paths) > 1:
            raise DataError(f"{folder}: both {paths[0].name} and {paths[1].name}; keep one")
        if paths:
            found[name] = TableFiles(paths[0], tuple(_parts(paths[0])))
    if not found:
        raise DataError(f"{folder}: no table of the contract ({', '.join(TABLES)}) as .parquet, .csv or .csv.gz")
    return found


def open_text(part: Path) -> TextIO:
    """A part in CSV as text, unpacked if it is packed."""
    if part.name.endswith(".gz"):
        return cast("TextIO", gzip.open(part, "rt", encoding="utf-8-sig", newline=""))
    return part.open(encoding="utf-8-sig", newline="")


def _parts(path: Path) -> Iterator[Path]:
    """The files of a table; in a folder those that end as the folder does, and are not named to be passed over."""
    if path.is_file():
        yield path
        return
    suffixes = _PARQUET if path.name.endswith(_PARQUET) else _CSV
    parts = [
        part
        for part in sorted(path.rglob("*"))
        if part.name.endswith(suffixes)
        and part.is_file()
        and not any(step.startswith(("_", ".")) for step in part.relative_to(path).parts)
    ]
    if not parts:
        raise DataError(f"{path}: the folder holds no part ending in {' or '.join(suffixes)}")
    yield from parts


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()

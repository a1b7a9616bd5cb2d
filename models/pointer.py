"""Which bundle a slot should serve: one small file per (model, role), replaced whole.

The release agent writes ``<folder>/<model>/<role>.json``; the server watches it. Version, alias and the gate report
stand here, beside the digest and not in it: the same bundle can be released under another version.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from models.errors import BundleError

ROLES: Final = ("champion", "challenger")


@dataclass(frozen=True, slots=True)
class Pointer:
    """A slot's release: the bundle's digest, its version in the registry, when (ISO 8601 UTC), and how it was gated."""

    digest: str
    version: str
    released_at: str
    gates: Mapping[str, Any] = field(default_factory=dict)


def pointer_path(folder: Path, model: str, role: str) -> Path:
    """Where the pointer of a slot lies."""
    return folder / model / f"{role}.json"


def write_pointer(folder: Path, model: str, role: str, pointer: Pointer) -> None:
    """Point a slot at a bundle; a reader sees the old pointer or the new one, never a part."""
    path = pointer_path(folder, model, role)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".pointer-", delete=False) as staged:
        json.dump(asdict(pointer), staged, indent=1)
        staged.flush()
        os.fsync(staged.fileno())
    Path(staged.name).replace(path)


def parse_pointer(text: str) -> Pointer:
    """The pointer that ``write_pointer`` wrote; BundleError for anything else."""
    try:
        data = json.loads(text)
        digest, version, released_at = (str(data[name]) for name in ("digest", "version", "released_at"))
        if len(digest) != 64 or not digest.isalnum():
            raise ValueError(f"digest {digest[:80]!r}")
        return Pointer(digest, version, released_at, dict(data["gates"]))
    except (KeyError, RecursionError, TypeError, ValueError) as error:
        raise BundleError(f"not a pointer: {error!r}") from error

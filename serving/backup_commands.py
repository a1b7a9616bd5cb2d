"""The commands around backups: a copy of the SQLite file, and erasures that a restored journal does not know of."""

import argparse
import asyncio
import json
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Final

from serving.errors import ServingError
from serving.instants import now_us
from serving.settings import Settings
from serving.store.erasure import ErasureLog, Tombstone
from serving.store.stores import open_stores

_OURS_ALONE: Final = 0o600


def add_backup_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands to the command line."""
    backup = commands.add_parser("backup", help="copy the SQLite file whole; servers may run")
    backup.add_argument("--out", type=Path, required=True, help="a file that is not there yet")
    backup.set_defaults(command=_back_up)
    export = commands.add_parser("export-tombstones", help="write who is erased, as salted hashes; servers may run")
    export.add_argument("--out", type=Path, required=True, help="a file that is not there yet")
    export.set_defaults(command=_export_tombstones)
    replay = commands.add_parser("replay-erasures", help="erase in a restored journal whoever was erased since")
    replay.add_argument("tombstones", type=Path, help="what export-tombstones wrote")
    replay.set_defaults(command=_replay_erasures)


def _back_up(settings: Settings, options: argparse.Namespace) -> None:
    if settings.journal_url:
        raise ServingError("the journal is in PostgreSQL: pg_dump makes its backup")
    if not settings.database.exists():
        raise ServingError(f"{settings.database} is not there")
    part = _part_of(options.out)
    source, copy = sqlite3.connect(f"{settings.database.absolute().as_uri()}?mode=ro", uri=True), sqlite3.connect(part)
    with closing(source), closing(copy):
        source.backup(copy)  # all in one step, so as of one instant
    _finish(part, options.out)


def _export_tombstones(settings: Settings, options: argparse.Namespace) -> None:
    async def read() -> tuple[str, list[Tombstone]]:
        async with open_stores(settings) as stores:
            return await stores.erasures.deployment(), await stores.erasures.tombstones()

    deployment, tombstones = asyncio.run(read())
    part = _part_of(options.out)
    part.write_text(json.dumps({"deployment": deployment, "tombstones": tombstones}))
    _finish(part, options.out)


def _replay_erasures(settings: Settings, options: argparse.Namespace) -> None:
    deployment, tombstones = _tombstones_in(options.tombstones)

    async def replay() -> int:
        async with open_stores(settings) as stores:
            if await stores.erasures.deployment() != deployment:
                raise ServingError(f"{options.tombstones} is of another deployment: its hashes mean nothing here")
            return await _replay(stores.erasures, tombstones)

    print(f"erasures begun anew: {asyncio.run(replay())}; running servers bring them to their end", file=sys.stderr)


async def _replay(erasures: ErasureLog, tombstones: list[Tombstone]) -> int:
    """Set the tombstones, and begin to erase everyone of whom anything is held under one; how many they are."""
    await erasures.set_tombstones(tombstones)
    to_erase = {one async for one in erasures.held_though_erased()}
    for user_id in to_erase:
        await erasures.begin(user_id, now_us())
    return len(to_erase)


def _tombstones_in(path: Path) -> tuple[str, list[Tombstone]]:
    try:
        said = json.loads(path.read_text())
        return str(said["deployment"]), [Tombstone(str(user_hash), int(at)) for user_hash, at in said["tombstones"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ServingError(f"{path} is not what export-tombstones writes") from error


def _part_of(out: Path) -> Path:
    """An empty file beside ``out`` that only its owner may read."""
    if out.exists():
        raise ServingError(f"{out} is there already")
    part = out.with_name(f"{out.name}.part")
    part.unlink(missing_ok=True)
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _OURS_ALONE))
    return part


def _finish(part: Path, out: Path) -> None:
    """Let the file appear, whole and on the disk."""
    with part.open("rb") as written:
        os.fsync(written.fileno())
    part.rename(out)

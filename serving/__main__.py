"""``python -m serving``: run the server, see to keys, people and policies, rebuild states, export and score."""

import argparse
import asyncio
import gc
import getpass
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing, suppress
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from models.pointer import pointer_path
from serving.acting import Actor, ActorKind, acting
from serving.app import create_app
from serving.audit import AuditLog
from serving.backup_commands import add_backup_commands
from serving.errors import ServingError
from serving.export import export_events
from serving.export_labels import export_labels
from serving.folding import Folder
from serving.instants import now_us, to_us
from serving.key_commands import create_key, list_keys, revoke_key
from serving.logs import configure_logging
from serving.policies.commands import add_policy_commands
from serving.quality import QUALITY
from serving.reviewer_commands import add_reviewer_commands
from serving.score_notes import score_notes
from serving.security import Scope
from serving.server import allow_open_files, server_of
from serving.settings import Settings, read_settings
from serving.store.stores import only_server, open_stores
from serving.workers import Workers

_INTERRUPTED = 128 + signal.SIGINT


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; 2 and one line on stderr where that can't be."""
    options = _parser().parse_args(arguments)
    os.umask(0o077)  # what is written here is for nobody else on the machine
    try:
        with acting(Actor(ActorKind.COMMAND, _account())):
            options.command(read_settings(), options)
    except ValidationError as error:
        return _fail("; ".join(f"MINGJIAN_{str(one['loc'][0]).upper()}: {one['msg']}" for one in error.errors()))
    except (ServingError, OSError) as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return _INTERRUPTED
    return 0


def _account() -> str:
    """Whose account of this machine runs the command; its number where it has no name, as in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _fail(message: str) -> int:
    print(f"serving: {message}", file=sys.stderr)
    return 2


def _run(settings: Settings, options: argparse.Namespace) -> None:
    with only_server(settings):
        pass  # refused here in one line; the app takes the lock for good when it starts
    host, port = options.host or settings.host, settings.port if options.port is None else options.port
    with ExitStack() as stack:
        ports = [port] if settings.metrics_port is None else [port, settings.metrics_port]
        listening = [stack.enter_context(_listen(host, one)) for one in ports]
        configure_logging(settings.log_level, sys.stdout)
        allow_open_files(settings.max_connections)
        server = server_of(create_app(settings), settings)
        gc.freeze()  # what is imported stays: the collector need not walk it (p99 of 1,000 users: 20 ms instead of 80)
        signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn drains, then raises it again: that is no failure
        with suppress(KeyboardInterrupt):  # raised again too, once all is closed
            server.run(sockets=listening)
    if not server.started:
        raise ServingError("the app did not start; its log says why")


def _listen(host: str, port: int) -> socket.socket:
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)


def _rebuild_state(settings: Settings, _: argparse.Namespace) -> None:
    async def rebuild() -> None:
        async with open_stores(settings) as stores:
            with closing(Workers()) as workers:
                async for reached, end in Folder(stores.journal, stores.states, workers).rebuild():
                    print(f"\rfacts folded: {reached:,} of {end:,}", end="", file=sys.stderr)

    asyncio.run(rebuild())
    print("\nevery state is rebuilt", file=sys.stderr)


def _score_notes(settings: Settings, _: argparse.Namespace) -> None:
    async def score() -> None:
        async for n_scored, n_notes in score_notes(settings, clock=now_us):
            print(f"\rnotes scored: {n_scored:,} of {n_notes:,}", end="", file=sys.stderr)

    asyncio.run(score())
    print("\nevery note is scored", file=sys.stderr)


def _export_events(settings: Settings, options: argparse.Namespace) -> None:
    async def export() -> None:
        async with open_stores(settings) as stores:
            log, since = stores.recommendations, options.since
            await AuditLog(stores.audit, clock=now_us).record_export("events")
            async for written in export_events(stores.journal, log, options.out, since=since, now=now_us()):
                print(
                    f"\rwritten: {written.n_events:,} events, {written.n_users:,} users, "
                    f"{written.n_recommendations:,} recommendations",
                    end="",
                    file=sys.stderr,
                )

    asyncio.run(export())
    print(f"\n{options.out} is a dataset in the contract", file=sys.stderr)


def _export_labels(settings: Settings, options: argparse.Namespace) -> None:
    async def export() -> None:
        async with open_stores(settings) as stores:
            await AuditLog(stores.audit, clock=now_us).record_export("note_labels")
            async for written in export_labels(stores.reviews, stores.notes, options.out, now=now_us()):
                print(f"\rwritten: {written.n_notes:,} notes, {written.n_labels:,} labels", end="", file=sys.stderr)

    asyncio.run(export())
    print(
        f"\n{options.out} is a dataset in the contract: python -m training quality --data {options.out}",
        file=sys.stderr,
    )


def _score_all(settings: Settings, options: argparse.Namespace) -> None:
    try:
        from serving.score_all import score_all
    except ModuleNotFoundError as error:
        raise ServingError(f"score-all needs {error.name}: pip install '.[serve,batch]'") from error
    n_users = asyncio.run(score_all(settings, out=options.out, as_of=options.as_of, block=options.block))
    print(f"{n_users:,} users are scored in {options.out}", file=sys.stderr)
    if pointer_path(settings.bundles, QUALITY.model, "champion").exists():
        _score_notes(settings, options)


def _instant(text: str) -> int:
    try:
        return to_us(datetime.fromisoformat(text))
    except (ValueError, TypeError) as error:  # TypeError: it has no zone
        raise argparse.ArgumentTypeError("an instant with its zone, such as 2026-01-31T00:00:00+08:00") from error


def _scopes(text: str) -> frozenset[str]:
    try:
        return frozenset(Scope(name.strip()) for name in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}; choose from {', '.join(Scope)}") from error


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError("a whole number, 0 or more")
    return int(text)


def _positive(text: str) -> int:
    if not (number := _count(text)):
        raise argparse.ArgumentTypeError("a whole number, 1 or more")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m serving",
        description="Mingjian's server. Settings come from MINGJIAN_* environment variables (see serving/settings.py).",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="serve until told to stop")
    run.add_argument("--host", help="address to listen on (MINGJIAN_HOST, 127.0.0.1)")
    run.add_argument("--port", type=int, help="port to listen on (MINGJIAN_PORT, 8000)")
    run.set_defaults(command=_run)
    create = commands.add_parser("create-key", help="make an API key and print it, this once")
    create.add_argument("--scopes", type=_scopes, required=True, help=f"comma-separated, of: {', '.join(Scope)}")
    create.add_argument("--label", required=True, help="who the key is for")
    create.add_argument("--days", type=_positive, help="how long the key is in force (until it is revoked)")
    create.add_argument("--rate-limit", type=_count, help="requests a second, 0 for any (MINGJIAN_RATE_LIMIT_PER_S)")
    create.set_defaults(command=create_key)
    revoke = commands.add_parser("revoke-key", help="revoke keys; it takes a second to take effect")
    which = revoke.add_mutually_exclusive_group(required=True)
    which.add_argument("--label", help="all keys with this label")
    which.add_argument("--id", help="the one with this id, as list-keys shows it")
    revoke.set_defaults(command=revoke_key)
    listing = commands.add_parser("list-keys", help="list the keys that are kept, without what opens anything")
    listing.set_defaults(command=list_keys)
    add_reviewer_commands(commands)
    add_backup_commands(commands)
    rebuild = commands.add_parser("rebuild-state", help="make every state anew from the journal; servers may run")
    rebuild.set_defaults(command=_rebuild_state)
    notes = commands.add_parser("score-notes", help="score all notes anew, for the lists; servers may run")
    notes.set_defaults(command=_score_notes)
    export = commands.add_parser(
        "export-events", help="write the journal, and what was recommended, as a dataset (CSV); servers may run"
    )
    export.add_argument("--out", type=Path, required=True, help="a folder that is not there yet, or empty")
    export.add_argument("--since", type=_instant, default=0, help="only events that occurred then or later")
    export.set_defaults(command=_export_events)
    labels = commands.add_parser(
        "export-labels", help="write what reviewers decided as labels to learn from (CSV); servers may run"
    )
    labels.add_argument("--out", type=Path, required=True, help="a folder that is not there yet, or empty")
    labels.set_defaults(command=_export_labels)
    score = commands.add_parser("score-all", help="score all users, to files and to the lists, and all notes")
    score.add_argument("--out", type=Path, required=True, metavar="DIR", help="a run that stopped here goes on")
    score.add_argument("--as-of", type=_instant, metavar="INSTANT", help="seeing nothing at or after it (now)")
    score.add_argument("--block", type=_positive, metavar="N", help="users in a file (1000)")
    score.set_defaults(command=_score_all)
    policy = commands.add_parser("policy", help="check a policy file, say what it changes, replay scores under it")
    add_policy_commands(policy)
    return parser


if __name__ == "__main__":
    sys.exit(main())

"""The commands that see to the people who review, beside running servers."""

import argparse
import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from serving.instants import now_us, to_datetime
from serving.reviewers import Reviewers
from serving.settings import Settings
from serving.store.reviewers import Role
from serving.store.stores import open_stores


def add_reviewer_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``create-reviewer`` and the commands that change or list reviewers."""
    create = commands.add_parser(
        "create-reviewer", help="add a person who reviews, and print their password, this once"
    )
    create.add_argument(
        "--role", type=Role, choices=list(Role), default=Role.REVIEWER, help="what they may do (reviewer)"
    )
    create.add_argument(
        "--no-password", action="store_true", help="make no password: they sign in with the organisation's account"
    )
    create.set_defaults(command=_create)
    password = commands.add_parser("reset-reviewer", help="give a reviewer a new password, and print it, this once")
    password.set_defaults(command=_reset)
    disable = commands.add_parser("disable-reviewer", help="let a reviewer do nothing more")
    disable.set_defaults(command=_disable)
    for one in (create, password, disable):
        one.add_argument("--name", required=True, help="what they sign in with")
    listing = commands.add_parser("list-reviewers", help="list the people who review")
    listing.set_defaults(command=_list)


@asynccontextmanager
async def _reviewers(settings: Settings) -> AsyncIterator[Reviewers]:
    async with open_stores(settings) as stores:
        yield Reviewers(stores.reviewers, clock=now_us)


def _create(settings: Settings, options: argparse.Namespace) -> None:
    password = None if options.no_password else secrets.token_urlsafe(12)

    async def create() -> None:
        async with _reviewers(settings) as reviewers:
            await reviewers.add(options.name, options.role, password)

    asyncio.run(create())
    if password:
        print(password)


def _reset(settings: Settings, options: argparse.Namespace) -> None:
    async def reset() -> str:
        async with _reviewers(settings) as reviewers:
            password = secrets.token_urlsafe(12)
            await reviewers.set_password(options.name, password)
            return password

    print(asyncio.run(reset()))


def _disable(settings: Settings, options: argparse.Namespace) -> None:
    async def disable() -> None:
        async with _reviewers(settings) as reviewers:
            await reviewers.disable(options.name)

    asyncio.run(disable())


def _list(settings: Settings, _: argparse.Namespace) -> None:
    """Print a line for each person, tabs between its columns."""

    async def read() -> None:
        async with _reviewers(settings) as reviewers:
            for one in await reviewers.all():
                state = "enabled" if one.disabled_at is None else "disabled"
                print(one.reviewer_id, one.name, one.role, state, to_datetime(one.created_at).isoformat(), sep="\t")

    asyncio.run(read())

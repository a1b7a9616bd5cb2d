"""The commands that see to the people who review, beside running servers."""

import argparse
import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from serving.instants import now_us, to_datetime
from serving.reviewers import Reviewers
from serving.settings import Settings
from serving.store.reviewers import Role
from serving.store.stores import open_stores

_SUBJECT: Final = "the issuer and the subject by which the identity provider knows them, as '<issuer> <sub>'"


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
    create.add_argument("--subject", type=_subject, help=_SUBJECT)
    role = commands.add_parser("change-reviewer", help="change what a person may do; they sign in anew")
    role.add_argument("--role", type=Role, choices=list(Role), required=True, help="what they may do")
    role.set_defaults(command=_change)
    account = commands.add_parser("bind-reviewer", help="say whose account elsewhere a person without a password has")
    which = account.add_mutually_exclusive_group(required=True)
    which.add_argument("--subject", type=_subject, help=_SUBJECT)
    which.add_argument("--forget", action="store_true", help="none any more")
    account.set_defaults(command=_bind)
    password = commands.add_parser("reset-reviewer", help="give a reviewer a new password, and print it, this once")
    password.set_defaults(command=_reset)
    disable = commands.add_parser("disable-reviewer", help="let a reviewer do nothing more")
    disable.set_defaults(command=_disable)
    for one in (create, role, account, password, disable):
        one.add_argument("--name", required=True, help="what they sign in with")
    listing = commands.add_parser("list-reviewers", help="list the people who review")
    listing.set_defaults(command=_list)


@asynccontextmanager
async def _reviewers(settings: Settings) -> AsyncIterator[Reviewers]:
    async with open_stores(settings) as stores:
        yield Reviewers(stores.reviewers, clock=now_us)


def _create(settings: Settings, options: argparse.Namespace) -> None:
    password = None if options.no_password or options.subject else secrets.token_urlsafe(12)

    async def create() -> None:
        async with _reviewers(settings) as reviewers:
            await reviewers.add(options.name, options.role, password, subject=options.subject)

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


def _change(settings: Settings, options: argparse.Namespace) -> None:
    async def change() -> None:
        async with _reviewers(settings) as reviewers:
            await reviewers.set_role(options.name, options.role)

    asyncio.run(change())


def _bind(settings: Settings, options: argparse.Namespace) -> None:
    async def bind() -> None:
        async with _reviewers(settings) as reviewers:
            await reviewers.bind(options.name, options.subject)

    asyncio.run(bind())


def _subject(text: str) -> str:
    """An issuer and whom it knows, as two words."""
    issuer, _, subject = text.partition(" ")
    if not subject or not issuer.startswith(("https://", "http://localhost", "http://127.0.0.1")):
        raise argparse.ArgumentTypeError("the issuer's URL, a space and its subject")
    return text


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

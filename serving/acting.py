"""Who is acting: said where a request or a command begins to act, read where what they do goes on record.

It holds for the task that said it and for what that task starts, so nothing in between hands it on. Where nobody said
anything, the system acts by itself.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from typing import Final, NamedTuple


class ActorKind(StrEnum):
    """What an actor's name is: a person's pseudonym, a key's label, an account of the machine, or nothing."""

    PERSON = "person"
    KEY = "key"
    COMMAND = "command"
    ANONYMOUS = "anonymous"
    SYSTEM = "system"


class Actor(NamedTuple):
    """Who acts, from which address, in which request."""

    kind: ActorKind
    name: str = ""
    address: str | None = None
    request_id: str | None = None


SYSTEM: Final = Actor(ActorKind.SYSTEM)

_ACTING: Final = ContextVar("acting", default=SYSTEM)


def act_as(actor: Actor) -> None:
    """Let all that this task does from here on be done by an actor."""
    _ACTING.set(actor)


@contextmanager
def acting(actor: Actor) -> Iterator[None]:
    """Let all that is done in this context be done by an actor."""
    before = _ACTING.set(actor)
    try:
        yield
    finally:
        _ACTING.reset(before)


def actor() -> Actor:
    """Who acts in this task."""
    return _ACTING.get()

"""The policies that were put, and which are in force: told by an append-only log of changes."""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol


class Role(StrEnum):
    """What a policy in force does: the ``active`` one answers, the ``shadow`` is only compared with it."""

    ACTIVE = "active"
    SHADOW = "shadow"


class What(StrEnum):
    """What was done."""

    ADD = "add"
    ACTIVATE = "activate"
    SHADOW = "shadow"
    ROLLBACK = "rollback"


class StoredPolicy(NamedTuple):
    """A policy file as it was put first; files that say the same have the same ``version``."""

    version: str
    name: str
    content: str
    stored_at: int


class Deed(NamedTuple):
    """Who does something, when and why; ``who`` is the label of an API key."""

    who: str
    at: int
    why: str


class PolicyChange(NamedTuple):
    """One thing that was done; ``before`` and ``after`` are the versions in that role, None for none."""

    change_no: int
    changed_at: int
    who: str
    what: What
    role: Role | None
    before: str | None
    after: str | None
    why: str


class InForce(NamedTuple):
    """The newest change of each role; None where there was none."""

    active: PolicyChange | None
    shadow: PolicyChange | None


class PolicyStore(Protocol):
    """Policies by version. Every method raises StoreError when the store can't do it now."""

    async def add(self, policy: StoredPolicy, deed: Deed) -> None:
        """Keep a policy; one that is kept already stays as it is, and nothing is written down."""
        ...

    async def get(self, version: str) -> StoredPolicy | None:
        """The policy of a version."""
        ...

    async def newest(self, *, limit: int) -> list[StoredPolicy]:
        """The policies that were put last, the newest first."""
        ...

    async def in_force(self) -> InForce:
        """Which policies are in force."""
        ...

    async def put_in_force(self, role: Role, version: str | None, deed: Deed, *, shipped: StoredPolicy) -> None:
        """Let a policy that is kept take a role, or (as shadow alone) nothing; no change where it has it already.

        ``shipped`` is active where none was ever put in force; it is kept too, so that it can come back.
        """
        ...

    async def roll_back(self, deed: Deed) -> str | None:
        """Let the policy that was active before the active one be active again; its version, None where none was."""
        ...

    async def changes(self, *, before_no: int | None, limit: int) -> Sequence[PolicyChange]:
        """What was done before a change, the newest first."""
        ...

"""The audit log: who did what to what, when and from where. Rows are added, and go by their age alone."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

from serving.acting import Actor, ActorKind, actor

KEPT_DAYS: Final = 180
"""For so long the database itself lets no row go."""


class Action(StrEnum):
    """What is done."""

    USER_ERASE = "user.erase"
    EXPORT = "export"
    PERSON_ADD = "person.add"
    PERSON_DISABLE = "person.disable"
    PERSON_ROLE = "person.role"
    PERSON_ACCOUNT = "person.account"
    PERSON_RESET = "person.reset"
    SIGN_IN = "sign_in"
    SIGN_OUT = "sign_out"
    PAGE_REFUSE = "page.refuse"
    KEY_CREATE = "key.create"
    KEY_REVOKE = "key.revoke"
    POLICY_ADD = "policy.add"
    POLICY_ACTIVATE = "policy.activate"
    POLICY_SHADOW = "policy.shadow"
    POLICY_ROLLBACK = "policy.rollback"
    MODEL_LIVE = "model.live"
    MODEL_REFUSE = "model.refuse"


class ActionOutcome(StrEnum):
    """What came of it."""

    DONE = "done"
    REFUSED = "refused"


class TargetKind(StrEnum):
    """What it is done to."""

    USER = "user"
    PERSON = "person"
    KEY = "key"
    POLICY = "policy"
    SLOT = "slot"
    TABLE = "table"
    PAGE = "page"


class Target(NamedTuple):
    """What is acted on: a user's or person's pseudonym, a key's id, a policy's version, a slot, a table, a page.

    A user is named by their id here, and written down by their pseudonym alone.
    """

    kind: TargetKind
    name: str


class NewEntry(NamedTuple):
    """What goes on record; ``detail`` is a few words that hold no id of a user and nothing that anybody wrote."""

    occurred_at: int
    actor: Actor
    action: Action
    target: Target | None
    outcome: ActionOutcome
    detail: str


class AuditEntry(NamedTuple):
    """What is on record."""

    entry_no: int
    occurred_at: int
    actor_kind: ActorKind
    actor: str
    action: Action
    target_kind: TargetKind | None
    target: str | None
    outcome: ActionOutcome
    detail: str
    address: str | None
    request_id: str | None


class AuditQuery(NamedTuple):
    """Which entries: those with all of these; None is any."""

    action: str | None = None
    actor_kind: str | None = None
    actor: str | None = None
    target_kind: str | None = None
    target: str | None = None
    outcome: str | None = None
    since: int | None = None
    before: int | None = None


def entry(
    action: Action, target: Target | None, *, at: int, outcome: ActionOutcome = ActionOutcome.DONE, detail: str = ""
) -> NewEntry:
    """What whoever acts now does."""
    return NewEntry(at, actor(), action, target, outcome, detail)


class AuditStore(Protocol):
    """The log. Every method raises StoreError when the store can't do it now.

    What changes in the same database as it is written down is written down by its own store, in the same transaction.
    """

    async def add(self, entry: NewEntry) -> None:
        """Write something down."""
        ...

    async def page(self, query: AuditQuery, *, before_no: int | None, limit: int) -> Sequence[AuditEntry]:
        """What was done, the newest first, from before an entry on."""
        ...

    async def pseudonym(self, user_id: str) -> str:
        """What stands for a user in the log."""
        ...

    async def retire(self, before: int, *, limit: int) -> int:
        """Delete up to ``limit`` entries of before an instant; how many."""
        ...

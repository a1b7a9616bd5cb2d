"""The people who review or run the community: who they are here, what each role may, and their sessions."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple, Protocol


class Role(StrEnum):
    """What a person is here for."""

    REVIEWER = "reviewer"
    OPS = "ops"
    LEAD = "lead"
    ADMIN = "admin"


class Permission(StrEnum):
    """What a person may do; a page or a reviewer's action needs one of them."""

    OWN = "own"
    """What is theirs alone: their language, their sessions."""
    REVIEW = "review"
    """Take reviews and decide; see the queue."""
    LEAD = "lead"
    """Decide what was escalated, and many at once; see who reviews and how much."""
    KPIS = "kpis"
    """See and take out figures of the whole community."""
    USERS = "users"
    """See users one by one, list them, and take lists of them out."""
    RULES = "rules"
    """See the models and the policy that decide."""
    ADMIN = "admin"
    """See to people, policies and erasures; read the audit log."""


_REVIEWER: Final = frozenset({Permission.OWN, Permission.REVIEW, Permission.RULES})
_OPS: Final = frozenset({Permission.OWN, Permission.KPIS, Permission.USERS, Permission.RULES})
PERMISSIONS: Final[Mapping[Role, frozenset[Permission]]] = {
    Role.REVIEWER: _REVIEWER,
    Role.OPS: _OPS,
    Role.LEAD: _REVIEWER | _OPS | {Permission.LEAD},
    Role.ADMIN: frozenset(Permission),
}
"""What each role may; the one place that says so."""


class Reviewer(NamedTuple):
    """A person, by the name they sign in with; ``reviewer_id`` is the pseudonym that logs and reviews have.

    ``password_hash`` is Argon2's, None for one without a password. ``subject`` is whom the identity provider knows them
    as (issuer and subject), None for one who does not sign in there; ``asking`` is the account there that asks to be
    theirs, until an admin says.
    """

    reviewer_id: str
    name: str
    role: Role
    password_hash: str | None
    subject: str | None
    asking: str | None
    created_at: int
    disabled_at: int | None

    def may(self, permission: Permission) -> bool:
        """Whether their role has a permission."""
        return permission in PERMISSIONS[self.role]

    @property
    def is_lead(self) -> bool:
        """Whether what was escalated may be theirs."""
        return self.may(Permission.LEAD)


class ReviewerSession(NamedTuple):
    """That a person is signed in: by the SHA-256 of a random token, with the token that their forms must carry.

    It ends at ``expires_at``, which moves on with its use, and at the latest at ``ends_at``.
    """

    session_hash: str
    reviewer_id: str
    csrf: str
    expires_at: int
    ends_at: int


class ReviewerStore(Protocol):
    """The people. Every method raises StoreError when the store can't do it now; what changes a person is put on
    record in the same transaction.
    """

    async def add(self, reviewer: Reviewer) -> bool:
        """Keep a person; false where the name, or the subject, is taken."""
        ...

    async def named(self, name: str) -> Reviewer | None:
        """The person of a name."""
        ...

    async def of_subject(self, subject: str) -> Reviewer | None:
        """The person whom the identity provider knows as this."""
        ...

    async def all(self) -> list[Reviewer]:
        """Everyone, by name."""
        ...

    async def set_password(self, name: str, password_hash: str, *, at: int) -> bool:
        """Change a password, forget the account elsewhere and end the person's sessions; whether there is such a
        person.
        """
        ...

    async def set_role(self, name: str, role: Role, *, at: int) -> bool:
        """Change a role and end the person's sessions; whether there is such a person."""
        ...

    async def disable(self, name: str, *, at: int) -> bool:
        """Let a person do nothing more; whether there is such a person."""
        ...

    async def ask(self, name: str, subject: str) -> bool:
        """Note that an account elsewhere asks to be a person's, the first that does; whether it is on note."""
        ...

    async def bind(self, name: str, subject: str | None, *, at: int) -> bool:
        """Let an account elsewhere be a person's, or none, and end their sessions; false where there is no such person,
        they have a password, or the account is somebody else's.
        """
        ...

    async def device_key(self) -> bytes:
        """What signs the cookies of known browsers, in this deployment alone."""
        ...

    async def sign_in(self, session: ReviewerSession, *, at: int) -> None:
        """Keep a session."""
        ...

    async def refuse(self, reviewer_id: str | None, *, at: int) -> None:
        """Put a sign-in that failed on record; of whom, where it was somebody's name."""
        ...

    async def session(self, session_hash: str) -> tuple[ReviewerSession, Reviewer] | None:
        """A session and whose it is."""
        ...

    async def extend(self, session_hash: str, expires_at: int) -> None:
        """Let a session last longer."""
        ...

    async def sign_out(self, session_hash: str, *, at: int) -> None:
        """Forget a session."""
        ...

    async def sign_out_everywhere(self, reviewer_id: str, *, at: int) -> None:
        """Forget all sessions of a person."""
        ...

    async def retire_sessions(self, before: int, *, limit: int) -> int:
        """Forget up to ``limit`` sessions that expired before an instant; how many."""
        ...

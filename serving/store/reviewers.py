"""The people who review: who they are here, and their sessions in the console."""

from enum import StrEnum
from typing import NamedTuple, Protocol


class Role(StrEnum):
    """What a person may do: review; also decide what was escalated; also see to people, policies and erasures."""

    REVIEWER = "reviewer"
    LEAD = "lead"
    ADMIN = "admin"


class Reviewer(NamedTuple):
    """A person, by the name they sign in with; ``reviewer_id`` is the pseudonym that logs and reviews have.

    ``password_hash`` is Argon2's, None for one without a password. ``subject`` is whom the identity provider knows them
    as, None for one who has not signed in there. ``n_failures`` counts wrong passwords in a row.
    """

    reviewer_id: str
    name: str
    role: Role
    password_hash: str | None
    subject: str | None
    created_at: int
    disabled_at: int | None
    n_failures: int
    locked_until: int | None

    @property
    def is_lead(self) -> bool:
        """Whether what was escalated may be theirs."""
        return self.role is not Role.REVIEWER


class ReviewerSession(NamedTuple):
    """That a person is signed in: by the SHA-256 of a random token, with the token that their forms must carry."""

    session_hash: str
    reviewer_id: str
    csrf: str
    expires_at: int


class ReviewerStore(Protocol):
    """The people. Every method raises StoreError when the store can't do it now."""

    async def add(self, reviewer: Reviewer) -> bool:
        """Keep a person; false where the name is taken."""
        ...

    async def named(self, name: str) -> Reviewer | None:
        """The person of a name."""
        ...

    async def all(self) -> list[Reviewer]:
        """Everyone, by name."""
        ...

    async def failed(self, reviewer_id: str, *, most: int, locked_until: int) -> None:
        """Count a wrong password; with the ``most``-th in a row the person is locked out, and the count starts anew."""
        ...

    async def set_password(self, name: str, password_hash: str) -> bool:
        """Change a password, forget the subject and end the person's sessions; whether there is such a person."""
        ...

    async def bind(self, reviewer_id: str, subject: str) -> bool:
        """Keep the subject of a person who has none; whether it is theirs."""
        ...

    async def disable(self, name: str, at: int) -> bool:
        """Let a person do nothing more; whether there is such a person."""
        ...

    async def sign_in(self, session: ReviewerSession) -> None:
        """Keep a session, and forget wrong passwords."""
        ...

    async def session(self, session_hash: str) -> tuple[ReviewerSession, Reviewer] | None:
        """A session and whose it is."""
        ...

    async def extend(self, session_hash: str, expires_at: int) -> None:
        """Let a session last longer."""
        ...

    async def sign_out(self, session_hash: str) -> None:
        """Forget a session."""
        ...

    async def retire_sessions(self, before: int, *, limit: int) -> int:
        """Forget up to ``limit`` sessions that expired before an instant; how many."""
        ...

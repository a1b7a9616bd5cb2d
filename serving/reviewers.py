"""The people who review: who may, with which password, and who is signed in."""

import asyncio
import secrets
from typing import Final, NamedTuple

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error

from serving.errors import ConflictError, FieldProblem, ForbiddenError, InvalidError, NotFoundError
from serving.instants import SECOND_US, Clock
from serving.security import hash_secret
from serving.store.reviewers import Reviewer, ReviewerSession, ReviewerStore, Role

SESSION_S: Final = 8 * 3600
"""How long a session lasts after it was last used."""
MIN_PASSWORD_CHARS: Final = 12
MAX_FAILURES: Final = 5
LOCKED_S: Final = 15 * 60

_EXTEND_S: Final = 60
_HASHER: Final = PasswordHasher()
_ABSENT: Final = _HASHER.hash(secrets.token_hex())
"""What a password is compared with for a name that nobody has: it takes as long."""


class SignedIn(NamedTuple):
    """A session as it began: the token for the cookie, and the one for forms."""

    token: str
    csrf: str


class Identity(NamedTuple):
    """Whom an identity provider vouches for: ``subject``, theirs alone and for good, and the name of a reviewer."""

    subject: str
    name: str


class Reviewers:
    """Knows the people."""

    def __init__(self, store: ReviewerStore, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def add(self, name: str, role: Role, password: str | None) -> Reviewer:
        """A new person; ConflictError for a name that is taken, InvalidError for a password that is too short."""
        hashed = None if password is None else await self._hash(password)
        made = Reviewer(f"r-{secrets.token_hex(6)}", name, role, hashed, None, self._clock(), None, 0, None)
        if not await self._store.add(made):
            raise ConflictError("somebody has this name already")
        return made

    async def set_password(self, name: str, password: str) -> None:
        """Change a person's password, forget the account they signed in with, and end their sessions.

        NotFoundError for a name that nobody has.
        """
        if not await self._store.set_password(name, await self._hash(password)):
            raise NotFoundError("nobody has this name")

    async def disable(self, name: str) -> None:
        """Let a person do nothing more; NotFoundError for a name that nobody has."""
        if not await self._store.disable(name, self._clock()):
            raise NotFoundError("nobody has this name")

    async def all(self) -> list[Reviewer]:
        """Everyone."""
        return await self._store.all()

    async def named(self, name: str) -> Reviewer:
        """The person of a name; InvalidError where nobody who may review has it."""
        found = await self._store.named(name)
        if found is None or found.disabled_at is not None:
            detail = "nobody who may review has this name"
            raise InvalidError(detail, errors=[FieldProblem("/reviewer", "unknown_reviewer", detail)])
        return found

    async def sign_in(self, name: str, password: str) -> SignedIn:
        """Begin a session; ForbiddenError for a wrong name or password, or for one who is locked out for a while."""
        found, now = await self._store.named(name), self._clock()
        hashed = found.password_hash if found and found.password_hash else _ABSENT
        is_right = await asyncio.to_thread(_is_right, hashed, password)
        if found is None or found.disabled_at is not None or (found.locked_until or 0) > now:
            is_right = False
        if found is None or not is_right:
            if found:
                await self._store.failed(found.reviewer_id, most=MAX_FAILURES, locked_until=now + LOCKED_S * SECOND_US)
            raise ForbiddenError("name and password do not go together, or were tried too often")
        return await self._begin(found)

    async def sign_in_as(self, identity: Identity) -> SignedIn:
        """Begin a session for whom an identity provider vouches for; ForbiddenError where they may not review.

        The first identity that signs in by a name is the only one that may: a name can be given to somebody else.
        """
        found = await self._store.named(identity.name)
        if found is None or found.disabled_at is not None:
            raise ForbiddenError(f"nobody who may review is named {identity.name}")
        if not await self._store.bind(found.reviewer_id, identity.subject):
            raise ForbiddenError(f"{identity.name} has signed in with another account before")
        return await self._begin(found)

    async def _begin(self, found: Reviewer) -> SignedIn:
        now = self._clock()
        token, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        session = ReviewerSession(hash_secret(token), found.reviewer_id, csrf, now + SESSION_S * SECOND_US)
        await self._store.sign_in(session)
        return SignedIn(token, csrf)

    async def session(self, token: str) -> tuple[ReviewerSession, Reviewer] | None:
        """Who a cookie's token is of, while the session lasts; each use lets it last longer."""
        found, now = await self._store.session(hash_secret(token)), self._clock()
        if found is None or found[0].expires_at <= now or found[1].disabled_at is not None:
            return None
        until = now + SESSION_S * SECOND_US
        if until - found[0].expires_at > _EXTEND_S * SECOND_US:
            await self._store.extend(found[0].session_hash, until)
        return found

    async def sign_out(self, token: str) -> None:
        """End a session."""
        await self._store.sign_out(hash_secret(token))

    async def _hash(self, password: str) -> str:
        if len(password) < MIN_PASSWORD_CHARS:
            raise InvalidError(f"a password has {MIN_PASSWORD_CHARS} characters or more")
        return await asyncio.to_thread(_HASHER.hash, password)


def _is_right(hashed: str, password: str) -> bool:
    try:
        return _HASHER.verify(hashed, password)
    except Argon2Error:
        return False

"""The people who review or run the community: who may, with which password or account, and who is signed in."""

import hashlib
import hmac
import secrets
from functools import partial
from typing import Final, NamedTuple

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error

from serving.acting import ActorKind, act_as, actor
from serving.addresses import neighbourhood
from serving.errors import ConflictError, FieldProblem, ForbiddenError, InvalidError, NotFoundError
from serving.instants import SECOND_US, Clock
from serving.security import hash_secret
from serving.sign_in_limits import HashingGate, Tries, limits_of
from serving.store.reviewers import Permission, Reviewer, ReviewerSession, ReviewerStore, Role

SESSION_S: Final = 8 * 3600
"""How long a session lasts after it was last used."""
MAX_SESSION_S: Final = 16 * 3600
"""How long it lasts at all."""
MIN_PASSWORD_CHARS: Final = 12

_EXTEND_S: Final = 60
_HASHER: Final = PasswordHasher()
_ABSENT: Final = _HASHER.hash(secrets.token_hex())
"""What a password is compared with for a name that nobody has: it takes as long."""


class SignedIn(NamedTuple):
    """A session as it began: whose, the token for the cookie, and the one for forms."""

    who: Reviewer
    token: str
    csrf: str


class Identity(NamedTuple):
    """Whom an identity provider vouches for: ``subject``, theirs alone and for good, and the name they go by there."""

    subject: str
    name: str


class Reviewers:
    """Knows the people."""

    def __init__(self, store: ReviewerStore, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._tries = Tries()
        self._gate = HashingGate()

    async def add(self, name: str, role: Role, password: str | None, *, subject: str | None = None) -> Reviewer:
        """A new person, who signs in by a password or, without one, as a subject of the identity provider.

        ConflictError for a name or a subject that is taken, InvalidError for a password that is too short or comes with
        a subject.
        """
        if password is not None and subject is not None:
            raise InvalidError("who signs in with an account elsewhere has no password here")
        hashed = None if password is None else await self._hash(password)
        made = Reviewer(f"r-{secrets.token_hex(6)}", name, role, hashed, subject, None, self._clock(), None)
        if not await self._store.add(made):
            taken = "name" if subject is None else "name or account"
            raise ConflictError(f"somebody has this {taken} already")
        return made

    async def set_password(self, name: str, password: str) -> None:
        """Change a person's password, forget the account they signed in with, and end their sessions.

        NotFoundError for a name that nobody has.
        """
        _require(await self._store.set_password(name, await self._hash(password), at=self._clock()))

    async def set_role(self, name: str, role: Role) -> None:
        """Change what a person may do, and end their sessions; NotFoundError for a name that nobody has."""
        _require(await self._store.set_role(name, role, at=self._clock()))

    async def disable(self, name: str) -> None:
        """Let a person do nothing more; NotFoundError for a name that nobody has."""
        _require(await self._store.disable(name, at=self._clock()))

    async def bind(self, name: str, subject: str | None) -> None:
        """Let a subject of the identity provider be a person who has no password, or none be them any more.

        NotFoundError for a name that nobody has, ConflictError for who has a password, or a subject that is taken.
        """
        if await self._store.named(name) is None:
            _require(is_somebody=False)
        if not await self._store.bind(name, subject, at=self._clock()):
            raise ConflictError("this person has a password, or the account is somebody else's")

    async def all(self) -> list[Reviewer]:
        """Everyone."""
        return await self._store.all()

    async def named(self, name: str) -> Reviewer:
        """The person of a name; InvalidError where nobody who may review has it."""
        found = await self._store.named(name)
        if found is None or found.disabled_at is not None or not found.may(Permission.REVIEW):
            detail = "nobody who may review has this name"
            raise InvalidError(detail, errors=[FieldProblem("/reviewer", "unknown_reviewer", detail)])
        return found

    async def sign_in(self, name: str, password: str, *, device: str = "") -> SignedIn:
        """Begin a session; ``device`` is the token of a browser that somebody signed in from before.

        ForbiddenError for a wrong name or password, or one that was tried too often: nobody learns which.
        TooManySignInsError where too many sign in at once.
        """
        with self._gate.place():
            found = await self._store.named(name)
            known = await self._known(found, device)
            limits = limits_of(name, neighbourhood(actor().address or ""), device=known)
            may_try = self._tries.take(limits, at=self._clock())
            hashed = found.password_hash if found and found.password_hash else _ABSENT
            is_right = may_try and await self._gate.run(partial(_is_right, hashed, password))
        if found is None or found.disabled_at is not None or not is_right:
            await self._refuse(found)
            raise ForbiddenError("name and password do not go together, or were tried too often")
        self._tries.forgive(limits)
        return await self._begin(found)

    async def sign_in_as(self, identity: Identity) -> SignedIn:
        """Begin a session for whom an identity provider vouches for; ForbiddenError where they may not sign in.

        Who they are follows from their subject alone. The first who goes by the name of a person without a password may
        ask to be them; an admin says.
        """
        found = await self._store.of_subject(identity.subject)
        if found is not None and found.disabled_at is None and found.password_hash is None:
            return await self._begin(found)
        await self._refuse(found)
        if found is None and await self._store.ask(identity.name, identity.subject):
            raise ForbiddenError(f"an admin must confirm first that {identity.name} is this account")
        raise ForbiddenError(f"nobody here signs in with this account of {identity.name}")

    async def device_token(self, who: Reviewer) -> str:
        """What a browser keeps once somebody signed in from it, so that it is known for theirs."""
        device = f"{who.reviewer_id}.{secrets.token_urlsafe(16)}"
        return f"{device}.{await self._signature(device)}"

    async def session(self, token: str) -> tuple[ReviewerSession, Reviewer] | None:
        """Who a cookie's token is of, while the session lasts; each use lets it last longer, up to its end."""
        found, now = await self._store.session(hash_secret(token)), self._clock()
        if found is None or found[0].expires_at <= now or found[1].disabled_at is not None:
            return None
        until = min(now + SESSION_S * SECOND_US, found[0].ends_at)
        if until - found[0].expires_at > _EXTEND_S * SECOND_US:
            await self._store.extend(found[0].session_hash, until)
        return found

    async def sign_out(self, token: str) -> None:
        """End a session."""
        await self._store.sign_out(hash_secret(token), at=self._clock())

    async def sign_out_everywhere(self, who: Reviewer) -> None:
        """End all sessions of a person."""
        await self._store.sign_out_everywhere(who.reviewer_id, at=self._clock())

    async def _begin(self, found: Reviewer) -> SignedIn:
        now = self._clock()
        act_as(actor()._replace(kind=ActorKind.PERSON, name=found.reviewer_id))
        token, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        until, ends_at = now + SESSION_S * SECOND_US, now + MAX_SESSION_S * SECOND_US
        session = ReviewerSession(hash_secret(token), found.reviewer_id, csrf, until, ends_at)
        await self._store.sign_in(session, at=now)
        return SignedIn(found, token, csrf)

    async def _refuse(self, found: Reviewer | None) -> None:
        await self._store.refuse(found.reviewer_id if found else None, at=self._clock())

    async def _known(self, found: Reviewer | None, token: str) -> str | None:
        """The browser that a token names, where a person signed in from it before."""
        device, _, signature = token.rpartition(".")
        is_ours = hmac.compare_digest((await self._signature(device)).encode(), signature.encode())
        return device if found and is_ours and device.startswith(f"{found.reviewer_id}.") else None

    async def _signature(self, device: str) -> str:
        return hmac.new(await self._store.device_key(), device.encode(), hashlib.sha256).hexdigest()

    async def _hash(self, password: str) -> str:
        if len(password) < MIN_PASSWORD_CHARS:
            raise InvalidError(f"a password has {MIN_PASSWORD_CHARS} characters or more")
        return await self._gate.run(partial(_HASHER.hash, password))


def _require(is_somebody: bool) -> None:
    if not is_somebody:
        raise NotFoundError("nobody has this name")


def _is_right(hashed: str, password: str) -> bool:
    try:
        return _HASHER.verify(hashed, password)
    except Argon2Error:
        return False

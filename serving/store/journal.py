"""The journal: every fact about a user in the order it became known. It is the truth; states are made from it."""

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple, Protocol


class FactType(StrEnum):
    """What a fact is: something that happened, a user's profile as it was put, that their events were retired, or that
    an interest of theirs was deleted.
    """

    EVENT = "event"
    PROFILE = "profile"
    RETIRED = "retired"
    INTEREST = "interest"


class Fact(NamedTuple):
    """What is appended; instants are microseconds since 1970 UTC.

    ``event_id`` names an event once and for all; ``event`` is its name as it was sent; ``body`` is the JSON of a fact
    that is no event.
    """

    type: FactType
    user_id: str
    occurred_at: int
    received_at: int
    event_id: str | None = None
    event: str | None = None
    note_id: str | None = None
    value: float | None = None
    target_user_id: str | None = None
    session_id: str | None = None
    recommendation_id: str | None = None
    body: str | None = None


class Entry(NamedTuple):
    """A fact as folding reads it, with its place in the journal."""

    seq: int
    type: FactType
    occurred_at: int
    event: str | None
    value: float | None
    body: str | None


class NoteEvent(NamedTuple):
    """Something that a user did with a note, or that was shown to them."""

    event: str
    note_id: str
    occurred_at: int


class Hide(NamedTuple):
    """A note, or an author, that a user does not want to see."""

    note_id: str | None
    author_id: str | None


class Wishes(NamedTuple):
    """What a user wants of recommendations: whether they may be personal, and since when which interests (categories
    and topics) are not theirs any more.
    """

    personalisation_opt_out: bool
    deleted_interests: Mapping[str, int]


class AppendStatus(StrEnum):
    """What became of a fact.

    A ``duplicate`` was there already, in a ``conflict`` its id was, with another content; one of an ``erased`` user is
    not taken.
    """

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    ERASED = "erased"


class Touched(NamedTuple):
    """The users that a stretch of the journal is about, and the last ``seq`` in it."""

    user_ids: frozenset[str]
    last_seq: int


class EventsHeld(NamedTuple):
    """A user's events of one name: how many, the first and the last instant."""

    event: str
    n: int
    first_at: int
    last_at: int


class JournalHeld(NamedTuple):
    """What the journal holds of a user.

    The profile in force, how many were put (the former ones are held for a while), their events, how many events of
    others name them, and the interests that they deleted.
    """

    profile: Mapping[str, Any] | None
    n_profiles: int
    events: Sequence[EventsHeld]
    n_mentions: int
    deleted_interests: Sequence[str] = ()


class Journal(Protocol):
    """An append-only log, but for what a user's rights and retention take out of it: no ``seq`` is ever used again.

    Each fact has a ``seq`` above that of every fact visible before it: whoever has read up to a ``seq`` never misses
    a smaller one that appears later. Every method raises StoreError when the store can't do it now.
    """

    async def append(self, facts: Sequence[Fact]) -> list[AppendStatus]:
        """Append in order and return once durable, all or (StoreError) none; a status per fact.

        An ``event_id`` is taken once, in this batch or before it; ``received_at`` is no part of a fact's content.
        Of an erased user nothing is taken, and a ``target_user_id`` that names one is left out. A profile that leaves
        open whether its user opted out, or is a minor, keeps what the one before it said.
        """
        ...

    async def entries(self, after: Mapping[str, int]) -> dict[str, list[Entry]]:
        """Per user, ascending: the entries above the ``seq`` given for that user; users without any are left out."""
        ...

    async def history(self, user_ids: Collection[str], *, before: int) -> dict[str, list[Entry]]:
        """Per user, ascending: what happened before an instant, and whatever is no event; many may be asked for, and
        requests that read little don't wait for it.
        """
        ...

    async def note_events(self, user_id: str, *, before: int | None, limit: int) -> list[NoteEvent]:
        """The last ``limit`` that became known of a user's events on notes, ascending by when they happened.

        With ``before``, of those that happened before an instant.
        """
        ...

    async def hides(self, user_id: str, *, before: int | None) -> Sequence[Hide]:
        """All that a user hid; with ``before``, what they hid before an instant.

        What was read of those who hid much is not read again.
        """
        ...

    async def wishes(self, user_id: str) -> Wishes:
        """What the user's profile in force and their deleted interests say; nothing is read of what they did."""
        ...

    async def touched(self, after: int, *, limit: int) -> Touched:
        """Who the first ``limit`` facts above ``after`` are about; no one, and ``after`` itself, at the end."""
        ...

    async def users(self, after: str, *, limit: int) -> list[str]:
        """The ``limit`` users with facts who come after a user id (first: ``""``), in an order of the store's own."""
        ...

    async def check(self) -> None:
        """Nothing, while facts can be appended; ReadOnlyStoreError where only writes fail."""
        ...

    async def received_after(self, seq: int) -> int | None:
        """When the first fact above this ``seq`` was received; None where there is none."""
        ...

    async def last_seq(self) -> int:
        """The ``seq`` of the newest fact; 0 before the first."""
        ...

    async def page(self, after: int, *, limit: int) -> list[tuple[int, Fact]]:
        """Events and profiles in force with their ``seq``, ascending: the first ``limit`` above ``after``."""
        ...

    async def retire(self, after: int, *, before: int, at: int, limit: int) -> int | None:
        """Delete what may go of the first ``limit`` facts above ``after``; the last one's ``seq``, None at the end.

        The end is the first fact received at or after ``before``. An event may go once its user's state has let go of
        it, or when none of its user's was received since; a profile, when a later one has replaced it. For users whose
        events all go, a fact ``retired`` (at the instant ``at``) tells folding that their state must be made anew.
        """
        ...

    async def retired_before(self) -> int:
        """An instant: nothing that was received then or later was ever retired; 0 where nothing was."""
        ...

    async def held(self, user_id: str) -> JournalHeld | None:
        """All that is held of a user."""
        ...

    async def erase(self, user_id: str) -> None:
        """Delete the facts of a user with a tombstone, in bounded steps, and their id from the facts of others."""
        ...

"""The audit log as it is asked for and answered."""

from datetime import datetime
from typing import Annotated, Final

from pydantic import BaseModel, Field

from serving.acting import ActorKind
from serving.instants import to_us
from serving.schemas.base import Answer, Body, Id, Instant, Text
from serving.store.audit import Action, ActionOutcome, AuditQuery, TargetKind

MAX_ENTRIES: Final = 100


class WantedEntries(Body):
    """Which page of which entries: those with all that is named."""

    action: Action | None = None
    actor_kind: ActorKind | None = None
    actor: Id | None = Field(None, description="A key's label, a person's pseudonym, an account of the machine.")
    target_kind: TargetKind | None = None
    target: Id | None = Field(None, description="As entries name it: a user by their pseudonym.")
    outcome: ActionOutcome | None = None
    since: Instant | None = Field(None, description="Then or later.")
    before: Instant | None = Field(None, description="Before then.")
    limit: Annotated[int, Field(ge=1, le=MAX_ENTRIES)] = MAX_ENTRIES
    cursor: Text | None = Field(None, max_length=2_048, description="`next_cursor` of the page before this one.")

    def query(self) -> AuditQuery:
        """What of it chooses entries."""
        named = self.action, self.actor_kind, self.actor, self.target_kind, self.target, self.outcome
        return AuditQuery(*named, *(None if one is None else to_us(one) for one in (self.since, self.before)))


class AuditEntryOut(BaseModel):
    """Who did what to what, when and from where; a user is named by a pseudonym, here and in the database."""

    entry_no: int
    occurred_at: datetime
    actor_kind: ActorKind
    actor: str
    action: Action
    target_kind: TargetKind | None
    target: str | None
    outcome: ActionOutcome
    detail: str
    address: str | None
    request_id: str | None = Field(description="Of the request that did it.")


class AuditEntries(Answer):
    """What was done, the newest first."""

    results: list[AuditEntryOut]
    has_more: bool
    next_cursor: str | None

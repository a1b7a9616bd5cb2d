"""Policies: what is put, what is in force, and what was done."""

from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from serving.schemas.base import Answer, Body, Text

MAX_CHARS: Final = 200_000
MAX_CHANGES: Final = 100

EXAMPLE: Final = """
format = 1
name = "example"
tiers = [{ rule = "all", tier = "ordinary", zh = "全部", en = "All" }]
stages = [{ rule = "all", stage = "nurture", zh = "全部", en = "All" }]
notes = [{ rule = "all", decision = "pass", zh = "全部", en = "All" }]

[[actions]]
action = "honours"
kind = "community_honours"
priority = 50
cooldown_days = 30
zh = "授予社区荣誉"
en = "Honour them in the community"
"""
"""The least that is a policy."""

EXAMPLE_VERSION: Final = "e37db6bf6042b148d26ecb452c757606a685cebabdfbdac9a36e5070c13cf781"
"""Its version."""

Version = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Why = Annotated[Text, StringConstraints(min_length=1, max_length=500)]


class PolicyIn(Body):
    """A policy file, whole, and why it is put."""

    model_config = ConfigDict(json_schema_extra={"example": {"content": EXAMPLE, "why": "spring"}})

    content: Text = Field(min_length=1, max_length=MAX_CHARS)
    why: Why


class ActivateIn(Body):
    """Which stored policy is to answer, and why."""

    model_config = ConfigDict(json_schema_extra={"example": {"version": EXAMPLE_VERSION, "why": "spring"}})

    version: Version
    why: Why


class ShadowIn(Body):
    """Which stored policy is to be compared with the active one (without one: none), and why."""

    model_config = ConfigDict(json_schema_extra={"example": {"version": EXAMPLE_VERSION, "why": "compared for a day"}})

    version: Version | None = None
    why: Why


class RollbackIn(Body):
    """Why the policy before the active one is to be active again."""

    model_config = ConfigDict(json_schema_extra={"example": {"why": "too many win-backs"}})

    why: Why


class PolicyOut(BaseModel):
    """A stored policy; ``stored_at`` is null for the one that comes with the server."""

    version: str
    name: str
    stored_at: datetime | None


class PolicyStored(Answer, PolicyOut):
    """The policy is on disk."""


class PolicyContent(PolicyStored):
    """A policy as it was put."""

    content: str


class PolicyInForce(BaseModel):
    """A policy in a role, and since when by whom; both are null for the one that comes with the server."""

    version: str
    since: datetime | None
    who: str | None


class RefusedPolicy(BaseModel):
    """A policy that should be in force and that this server can't read: the one before it stays."""

    role: Literal["active", "shadow"]
    version: str
    reason: str


class PoliciesInForce(Answer):
    """What is in force: ``active`` and ``shadow`` by the log, ``live`` the version that this server answers by now."""

    active: PolicyInForce
    shadow: PolicyInForce | None
    live: str
    refused: list[RefusedPolicy]


class PoliciesListed(PoliciesInForce):
    """What is in force, the version that comes with the server, and the newest 100 that were put."""

    shipped: str
    policies: list[PolicyOut]


class PolicyChangeOut(BaseModel):
    """One thing that was done: ``who`` is the label of the key; ``before`` and ``after`` are versions in that role."""

    change_no: int
    changed_at: datetime
    who: str
    what: Literal["add", "activate", "shadow", "rollback"]
    role: Literal["active", "shadow"] | None
    before: str | None
    after: str | None
    why: str


class WantedChanges(Body):
    """Which page of what was done."""

    limit: Annotated[int, Field(ge=1, le=MAX_CHANGES)] = MAX_CHANGES
    cursor: Text | None = Field(None, max_length=2_048, description="`next_cursor` of the page before this one.")


class PolicyChanges(Answer):
    """What was done, the newest first."""

    results: list[PolicyChangeOut]
    has_more: bool
    next_cursor: str | None

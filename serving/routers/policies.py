"""Policies: put one, see what is in force, change that, and see who changed what."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request

from serving.cursor import BY_NUMBER, read_cursor, write_cursor
from serving.deps import GuardedRoute, PolicyAdmin
from serving.instants import to_datetime
from serving.middleware import call_of
from serving.policies.live import Policies
from serving.schemas.policies import (
    EXAMPLE_VERSION,
    ActivateIn,
    PoliciesInForce,
    PoliciesListed,
    PolicyChangeOut,
    PolicyChanges,
    PolicyContent,
    PolicyIn,
    PolicyInForce,
    PolicyOut,
    PolicyStored,
    RefusedPolicy,
    RollbackIn,
    ShadowIn,
    Version,
    WantedChanges,
)
from serving.store.policies import PolicyChange, StoredPolicy

PolicyVersion = Annotated[Version, Path(examples=[EXAMPLE_VERSION])]

router = APIRouter(prefix="/v1", tags=["policies"], route_class=GuardedRoute)


@router.post("/policies")
async def put_policy(body: PolicyIn, policies: PolicyAdmin, request: Request) -> PolicyStored:
    """Store a policy file, if it is a good one; what is wrong with it is said by line. Nothing is put in force.

    To put the same again changes nothing.
    """
    stored = await policies.add(body.content, who=call_of(request).who, why=body.why)
    return PolicyStored(**call_of(request).meta, **_of_store(stored))


@router.get("/policies")
async def list_policies(policies: PolicyAdmin, request: Request) -> PoliciesListed:
    """List what is in force and the newest policies."""
    in_force, stored = await _in_force(policies, request)
    return PoliciesListed(
        **in_force, shipped=policies.shipped.version, policies=[PolicyOut(**_of_store(one)) for one in stored]
    )


@router.get("/policies/{version}")
async def get_policy(version: PolicyVersion, policies: PolicyAdmin, request: Request) -> PolicyContent:
    """Give a policy as it was put."""
    stored = await policies.get(version)
    return PolicyContent(**call_of(request).meta, **_of_store(stored), content=stored.content)


@router.post("/policies:activate")
async def activate_policy(body: ActivateIn, policies: PolicyAdmin, request: Request) -> PoliciesInForce:
    """Let a stored policy answer: here at once, in every other server within two seconds."""
    await policies.activate(body.version, who=call_of(request).who, why=body.why)
    return PoliciesInForce(**(await _in_force(policies, request))[0])


@router.post("/policies:shadow")
async def shadow_policy(body: ShadowIn, policies: PolicyAdmin, request: Request) -> PoliciesInForce:
    """Let a stored policy be compared with the active one in metrics, without a word of it in answers; or none."""
    await policies.compare(body.version, who=call_of(request).who, why=body.why)
    return PoliciesInForce(**(await _in_force(policies, request))[0])


@router.post("/policies:rollback")
async def roll_back_policy(body: RollbackIn, policies: PolicyAdmin, request: Request) -> PoliciesInForce:
    """Let the policy that was active before the active one be active again; 409 where there was none."""
    await policies.roll_back(who=call_of(request).who, why=body.why)
    return PoliciesInForce(**(await _in_force(policies, request))[0])


@router.get("/policy-changes")
async def list_policy_changes(
    policies: PolicyAdmin, wanted: Annotated[WantedChanges, Query()], request: Request
) -> PolicyChanges:
    """List who changed what about policies, the newest first; nothing is ever taken out of it."""
    before_no = read_cursor((), wanted.cursor, BY_NUMBER)[0] if wanted.cursor else None
    found = await policies.changes(before_no=before_no, limit=wanted.limit + 1)
    shown, has_more = found[: wanted.limit], len(found) > wanted.limit
    return PolicyChanges(
        **call_of(request).meta,
        results=[_change(one) for one in shown],
        has_more=has_more,
        next_cursor=write_cursor((), (shown[-1].change_no,)) if has_more else None,
    )


async def _in_force(policies: Policies, request: Request) -> tuple[dict[str, Any], list[StoredPolicy]]:
    log, stored = await policies.listed()
    shipped = PolicyInForce(version=policies.shipped.version, since=None, who=None)
    return {
        **call_of(request).meta,
        "active": _taken(log.active) or shipped,
        "shadow": _taken(log.shadow),
        "live": policies.active.policy.version,
        "refused": [RefusedPolicy(**one._asdict()) for one in policies.refused()],
    }, stored


def _taken(change: PolicyChange | None) -> PolicyInForce | None:
    if change is None or change.after is None:
        return None
    return PolicyInForce(version=change.after, since=to_datetime(change.changed_at), who=change.who)


def _of_store(stored: StoredPolicy) -> dict[str, Any]:
    stored_at = to_datetime(stored.stored_at) if stored.stored_at else None
    return {"version": stored.version, "name": stored.name, "stored_at": stored_at}


def _change(change: PolicyChange) -> PolicyChangeOut:
    return PolicyChangeOut(**{**change._asdict(), "changed_at": to_datetime(change.changed_at)})

"""Actions: assign them, and see what they are worth."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from serving.deps import ActionAssigning, GuardedRoute, UpliftReports
from serving.instants import to_datetime, to_us
from serving.middleware import call_of
from serving.schemas.actions import (
    ActionsAssigned,
    AssignActions,
    AssignmentOut,
    EffectOut,
    UpliftOut,
    UpliftReport,
    UserAssignment,
    WantedUplift,
)
from serving.store.assignments import Assignment

router = APIRouter(prefix="/v1", tags=["actions"], route_class=GuardedRoute)


@router.post("/actions:assign")
async def assign_actions(body: AssignActions, assigning: ActionAssigning, request: Request) -> ActionsAssigned:
    """Assign to each of up to 1,000 users the first action that they are eligible for, and put it on record.

    Cooldowns, daily caps and hold-outs are seen to. To send a batch again changes nothing, and gives the same answer.
    """
    made = await assigning.assign(body.batch_id, body.user_ids)
    results = [
        UserAssignment(user_id=one, assignment=_assignment(made[one]) if one in made else None) for one in body.user_ids
    ]
    return ActionsAssigned(**call_of(request).meta, batch_id=body.batch_id, results=results)


@router.get("/reports/uplift")
async def report_uplift(
    uplifts: UpliftReports, wanted: Annotated[WantedUplift, Query()], request: Request
) -> UpliftReport:
    """Report what actions are worth: users for whom they were done, beside those for whom they were held back."""
    since = to_us(wanted.since) if wanted.since else None
    before = to_us(wanted.before) if wanted.before else None
    found = await uplifts.of(since=since, before=before, window_days=wanted.window_days)
    results = [
        UpliftOut(**{**one._asdict(), "effects": [EffectOut(**each._asdict()) for each in one.effects]})
        for one in found
    ]
    return UpliftReport(**call_of(request).meta, window_days=wanted.window_days, results=results)


def _assignment(one: Assignment) -> AssignmentOut:
    return AssignmentOut.model_validate(
        {
            **{name: getattr(one, name) for name in ("assignment_id", "action", "arm", "tier", "stage")},
            "assigned_at": to_datetime(one.assigned_at),
            "churn_probability": one.probability,
        }
    )

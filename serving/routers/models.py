"""Models: what is live, and what was refused."""

from typing import Any

from fastapi import APIRouter, Request

from serving.deps import GuardedRoute, LiveSlots
from serving.instants import to_datetime
from serving.middleware import call_of
from serving.schemas.models import ModelOut, Models, RefusedOut
from serving.slots import LiveModel, Refusal

router = APIRouter(prefix="/v1", tags=["models"], route_class=GuardedRoute)


@router.get("/models")
async def list_models(slots: LiveSlots, request: Request) -> Models:
    """List the model in each slot, and the releases that slots refused."""
    live = [_live(model) for model in slots.live()]
    refused = [_refused(refusal) for refusal in slots.refused()]
    return Models(**call_of(request).meta, live=live, refused=refused)


def _live(live: LiveModel[Any]) -> ModelOut:
    return ModelOut(
        name=live.model,
        role=live.role,
        version=live.pointer.version,
        digest=live.pointer.digest,
        released_at=live.pointer.released_at,
        loaded_at=to_datetime(live.loaded_at),
        gates=dict(live.pointer.gates),
    )


def _refused(refusal: Refusal) -> RefusedOut:
    return RefusedOut(
        name=refusal.model, role=refusal.role, digest=refusal.digest, reason=refusal.reason, at=to_datetime(refusal.at)
    )

"""Puts on record which models went live and which releases were refused: the registry's doing, not a caller's."""

import asyncio

from serving.audit import AuditLog
from serving.slots import Slots
from serving.store.audit import Action, AuditQuery, Target, TargetKind


class ModelChanges:
    """Looks at the slots. What the log says of a slot last is not said again, by a restart or by another server."""

    def __init__(self, slots: Slots, audit: AuditLog) -> None:
        self._slots = slots
        self._audit = audit
        self._seen: dict[tuple[str, Action], str] = {}
        self._following = asyncio.Lock()

    async def follow(self) -> None:
        """Write down what is new in the slots."""
        async with self._following:
            for live in self._slots.live():
                await self._tell(f"{live.model}/{live.role}", Action.MODEL_LIVE, live.pointer.digest)
            for refusal in self._slots.refused():
                await self._tell(f"{refusal.model}/{refusal.role}", Action.MODEL_REFUSE, refusal.digest or "unreadable")

    async def _tell(self, slot: str, action: Action, digest: str) -> None:
        if self._seen.get((slot, action)) == digest:
            return
        query = AuditQuery(action=action, target_kind=TargetKind.SLOT, target=slot)
        last = await self._audit.page(query, before_no=None, limit=1)
        if not last or last[0].detail != digest:
            await self._audit.record(action, Target(TargetKind.SLOT, slot), detail=digest)
        self._seen[slot, action] = digest

"""The audit log 审计日志: puts on record what no store writes down itself, and reads what is there."""

from serving.instants import Clock
from serving.store.audit import Action, ActionOutcome, AuditEntry, AuditQuery, AuditStore, Target, TargetKind, entry


class AuditLog:
    """Writes and reads the log."""

    def __init__(self, store: AuditStore, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def record(
        self, action: Action, target: Target | None, *, outcome: ActionOutcome = ActionOutcome.DONE, detail: str = ""
    ) -> None:
        """Write down what whoever acts now does."""
        await self._store.add(entry(action, target, at=self._clock(), outcome=outcome, detail=detail))

    async def record_export(self, table: str, *, detail: str = "") -> None:
        """Write down that somebody takes a table out; before they do, for what can't go on record must not happen."""
        await self.record(Action.EXPORT, Target(TargetKind.TABLE, table), detail=detail)

    async def page(self, query: AuditQuery, *, before_no: int | None, limit: int) -> list[AuditEntry]:
        """What was done, the newest first."""
        return [*await self._store.page(query, before_no=before_no, limit=limit)]

    async def pseudonym(self, user_id: str) -> str:
        """What stands for a user in the log: who has their id can find what was done to them."""
        return await self._store.pseudonym(user_id)

"""Who may be contacted: an audience leaves out whom the law, their own choice or an experiment protects."""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final

from features.state import DAY_US
from serving.assigning import Assigning
from serving.folding import Folder
from serving.instants import Clock
from serving.policies.live import Policies
from serving.store.assignments import Arm, AssignmentStore, LastAssigned


class Withheld(StrEnum):
    """Why a user may not be contacted, the weightiest first."""

    OPTED_OUT = "opted_out"
    MINOR = "minor"
    HOLDOUT = "holdout"
    CONTROL = "control"
    COOLDOWN = "cooldown"


_IN_ORDER: Final = [*Withheld]


class Contacts:
    """Says of users why they may not be contacted.

    Whoever wants no personalisation, minors, and hold-outs of all actions never are; nor is whoever an action was
    assigned to within its cooldown: they have been contacted, or are left alone to compare with.
    """

    def __init__(
        self, folder: Folder, store: AssignmentStore, assigning: Assigning, policies: Policies, *, clock: Clock
    ) -> None:
        self._folder = folder
        self._store = store
        self._assigning = assigning
        self._policies = policies
        self._clock = clock

    async def withheld(self, user_ids: Sequence[str]) -> dict[str, tuple[Withheld, ...]]:
        """Why each user may not be contacted, as of now; empty for those who may."""
        now = self._clock()
        states = await self._folder.states_at(user_ids, now)
        found: dict[str, set[Withheld]] = {user_id: set() for user_id in user_ids}
        flags = {Withheld.OPTED_OUT: states.personalisation_opt_out, Withheld.MINOR: states.is_minor}
        for why, flag in flags.items():
            for place in flag.nonzero()[0].tolist():
                found[user_ids[place]].add(why)
        for user_id in user_ids:
            if self._assigning.is_held_out(user_id):
                found[user_id].add(Withheld.HOLDOUT)
        for user_id, why in self._assigned(await self._store.last_assigned(user_ids), now):
            found[user_id].add(why)
        return {user_id: tuple(sorted(own, key=_IN_ORDER.index)) for user_id, own in found.items()}

    def _assigned(self, last: Iterable[LastAssigned], now: int) -> Iterable[tuple[str, Withheld]]:
        cooldown_days: Mapping[str, int] = {one.name: one.cooldown_days for one in self._policies.active.actions}
        longest = max(cooldown_days.values(), default=0)  # for an action that the policy names no more
        for one in last:
            if one.assigned_at >= now - cooldown_days.get(one.action, longest) * DAY_US:
                yield one.user_id, _BY_ARM[one.arm]


_BY_ARM: Final = {Arm.HOLDOUT: Withheld.HOLDOUT, Arm.CONTROL: Withheld.CONTROL, Arm.TREATMENT: Withheld.COOLDOWN}

"""The policies in force in this server: the active one, which answers, and the shadow, which is compared with it.

Both follow the log of changes in the journal's database: a change made through any server is live in all of them after
the next look. A policy that this version can't read is refused, and the one before it stays.
"""

import asyncio
import logging
from dataclasses import replace
from importlib.resources import files
from typing import Final, NamedTuple

from models.policy.errors import PolicyError
from models.policy.evaluation import PolicyEvaluator
from models.policy.policy import Policy
from models.policy.schema import read_policy
from serving.errors import ConflictError, FieldProblem, InvalidError, NotFoundError
from serving.instants import Clock
from serving.metrics import Metrics
from serving.store.policies import Deed, InForce, PolicyChange, PolicyStore, Role, StoredPolicy
from serving.workers import Workers

_log = logging.getLogger(__name__)

_N_SHOWN: Final = 20
N_LISTED: Final = 100


def shipped_policy() -> StoredPolicy:
    """The policy that comes with this version."""
    content = files("serving.policies").joinpath("default.toml").read_text(encoding="utf-8")
    policy = read_policy(content)
    return StoredPolicy(policy.version, policy.name, content, stored_at=0)


class PolicyRefusal(NamedTuple):
    """A policy that should be in force and can't be read, and why."""

    role: Role
    version: str
    reason: str


class Policies:
    """Stores policies and puts them in force; ``active`` is the shipped one until another was activated."""

    def __init__(self, store: PolicyStore, workers: Workers, *, metrics: Metrics, clock: Clock) -> None:
        self._store = store
        self._workers = workers
        self._metrics = metrics
        self._clock = clock
        self.shipped = shipped_policy()
        self._live: dict[Role, PolicyEvaluator] = {}
        self._refusals: dict[Role, PolicyRefusal] = {}
        self._following = asyncio.Lock()
        self._swap(Role.ACTIVE, PolicyEvaluator(read_policy(self.shipped.content)))

    @property
    def active(self) -> PolicyEvaluator:
        """The policy that answers."""
        return self._live[Role.ACTIVE]

    @property
    def shadow(self) -> PolicyEvaluator | None:
        """The policy that is compared with it, if any."""
        return self._live.get(Role.SHADOW)

    async def follow(self) -> None:
        """Look at what is in force, and read what is new."""
        async with self._following:  # a slower look must not bring an older policy back
            in_force = await self._store.in_force()
            active = in_force.active.after if in_force.active else None
            shadow = in_force.shadow.after if in_force.shadow else None
            following = self._follow(Role.ACTIVE, active or self.shipped.version), self._follow(Role.SHADOW, shadow)
            outcomes = await asyncio.gather(*following, return_exceptions=True)  # neither keeps the other from it
        for failed in outcomes:
            if failed is not None:
                raise failed

    async def read(self, content: str) -> Policy:
        """The policy that a text states; PolicyError with every problem of it.

        On the thread for slow work: the largest text takes seconds.
        """
        return await self._workers.run_slow(read_policy, content)

    async def add(self, content: str, *, who: str, why: str) -> StoredPolicy:
        """Store a policy; InvalidError, with the lines, for a file that is none."""
        try:
            policy = await self.read(content)
        except PolicyError as error:
            errors = [FieldProblem("/content", one.code, str(one)) for one in error.problems[:_N_SHOWN]]
            detail = f"what is wrong with the policy: {len(error.problems)}"
            raise InvalidError(detail, errors=errors) from error
        stored = StoredPolicy(policy.version, policy.name, content, self._clock())
        await self._store.add(stored, Deed(who, stored.stored_at, why))
        return await self.get(policy.version)

    async def get(self, version: str) -> StoredPolicy:
        """A policy as it was put; NotFoundError for a version that nobody put."""
        found = await self._store.get(version)
        if found is None and version != self.shipped.version:
            raise NotFoundError("no policy is stored under this version")
        return found or self.shipped

    async def activate(self, version: str, *, who: str, why: str) -> None:
        """Let a stored policy be the active one, here at once and everywhere at the next look."""
        await self._put_in_force(Role.ACTIVE, version, who=who, why=why)

    async def compare(self, version: str | None, *, who: str, why: str) -> None:
        """Let a stored policy be the shadow, or none."""
        await self._put_in_force(Role.SHADOW, version, who=who, why=why)

    async def roll_back(self, *, who: str, why: str) -> None:
        """Let the policy that was active before be active again; ConflictError where there was none."""
        if await self._store.roll_back(Deed(who, self._clock(), why)) is None:
            raise ConflictError("no policy was active before this one")
        await self.follow()

    async def listed(self) -> tuple[InForce, list[StoredPolicy]]:
        """What is in force by the log, and the newest policies."""
        return await self._store.in_force(), await self._store.newest(limit=N_LISTED)

    async def changes(self, *, before_no: int | None, limit: int) -> list[PolicyChange]:
        """What was done, the newest first."""
        return [*await self._store.changes(before_no=before_no, limit=limit)]

    def refused(self) -> list[PolicyRefusal]:
        """What should be in force and can't be read."""
        return [*self._refusals.values()]

    async def _put_in_force(self, role: Role, version: str | None, *, who: str, why: str) -> None:
        if version is not None:
            await self._require_readable(await self.get(version))
        deed = Deed(who, self._clock(), why)
        await self._store.put_in_force(role, version, deed, shipped=self.shipped)
        await self.follow()

    async def _follow(self, role: Role, version: str | None) -> None:
        live, refused = self._live.get(role), self._refusals.get(role)
        if refused and refused.version == version:
            return
        if version is None or (live and live.policy.version == version):
            if refused or version != (live.policy.version if live else None):
                self._swap(role, None if version is None else live)
            return
        try:
            policy = await self.read((await self.get(version)).content)
        except PolicyError as error:
            self._refuse(role, version, error)
        else:
            self._swap(role, PolicyEvaluator(replace(policy, version=version)))

    def _refuse(self, role: Role, version: str, error: PolicyError) -> None:
        first = error.problems[0]
        self._refusals[role] = PolicyRefusal(role, version, str(first))
        self._metrics.policy_refused.labels(role).set(1)
        _log.error("policy refused", extra={"role": role, "version": version, "code": first.code, "line": first.line})

    def _swap(self, role: Role, evaluator: PolicyEvaluator | None) -> None:
        """Let a policy answer, or none, from here on."""
        self._refusals.pop(role, None)
        self._metrics.policy_refused.labels(role).set(0)
        self._metrics.policy_live.remove_by_labels({"role": role})
        self._live.pop(role, None)
        if evaluator:
            self._live[role] = evaluator
            self._metrics.policy_live.labels(role, evaluator.policy.version).set(1)
        _log.info("policy live", extra={"role": role, "version": evaluator and evaluator.policy.version})

    async def _require_readable(self, policy: StoredPolicy) -> None:
        try:
            await self.read(policy.content)
        except PolicyError as error:
            detail = "this version of the server can't read the policy"
            errors = [FieldProblem("/version", "unreadable", str(error.problems[0]))]
            raise InvalidError(detail, errors=errors) from error

"""The live models: a slot per (model, role), each following its pointer file.

A new release is read, verified and warmed on a thread beside the old model, then swapped in by one assignment; whoever
took the old model finishes with it. A release that fails any check is refused, once, and the old model serves on; one
that the machine could not load is refused too, but tried again at the next look.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Generic, Protocol, TypeVar, cast

from models.bundle import read_bundle
from models.errors import BundleError, ContractError
from models.pointer import ROLES, Pointer, parse_pointer, pointer_path
from models.runtime import OnnxRunner
from serving.errors import NoModelError, NotFoundError
from serving.instants import Clock
from serving.metrics import Metrics


class Scorer(Protocol):
    """What every scorer has: the graph it runs."""

    @property
    def runner(self) -> OnnxRunner:
        """The graph."""
        ...


S = TypeVar("S", bound=Scorer)

_log = logging.getLogger(__name__)

_VERSIONS_KEPT: Final = 3
"""How many versions that left a slot are still counted."""


@dataclass(frozen=True, slots=True)
class Task(Generic[S]):
    """A kind of model: its name, what makes a scorer of a bundle, and a dummy inference on a number of rows.

    A bundle that requires others is made a scorer with theirs, each an argument of its model's name.
    ``canary`` raises BundleError for an answer that can't be right; before it goes live, a model answers ``warm_up``
    rows. ``takes_rows`` where each of its tensors has a row for each thing asked about.
    """

    model: str
    scorer: Callable[..., S]
    canary: Callable[[S, int], None]
    warm_up: Sequence[int] = (1, 1_000)
    takes_rows: bool = True


@dataclass(frozen=True, slots=True)
class LiveModel(Generic[S]):
    """A model in a slot, with the release it came by."""

    model: str
    role: str
    pointer: Pointer
    loaded_at: int
    scorer: S
    takes_rows: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a slot's present pointer is not followed; without a digest where the pointer itself can't be read."""

    model: str
    role: str
    digest: str | None
    reason: str
    at: int


@dataclass(slots=True)
class _Slot:
    task: Task[Any]
    role: str
    pointer_text: str | None = None
    live: LiveModel[Any] | None = None
    past_versions: list[str] = field(default_factory=list)
    refusal: Refusal | None = None
    try_again: bool = False


class Slots:
    """The slots of all tasks; ``follow`` looks at each pointer once."""

    def __init__(self, bundles: Path, tasks: Sequence[Task[Any]], *, metrics: Metrics, clock: Clock) -> None:
        self._bundles = bundles
        self._tasks = {task.model: task for task in tasks}
        self._slots = {(task.model, role): _Slot(task, role) for task in tasks for role in ROLES}
        self._metrics = metrics
        self._clock = clock
        self._following = asyncio.Lock()
        for slot in self._slots.values():
            metrics.slot_live.labels(**_where(slot)).set(0)
            metrics.slot_refused.labels(**_where(slot)).set(0)
            for counter in (metrics.swaps, metrics.refusals):
                counter.labels(**_where(slot))  # from zero: a rate needs a value before the first

    def champion(self, task: Task[S]) -> LiveModel[S] | None:
        """The model that answers for a task, if any."""
        return cast("LiveModel[S] | None", self._slots[task.model, "champion"].live)

    def find(self, model: str, version: str | None = None) -> LiveModel[Any]:
        """The live model of this name and version, without one the champion.

        NotFoundError where there is none, NoModelError while its champion is yet to come.
        """
        for live in self.live():
            if live.model == model and (
                live.role == "champion" if version is None else live.pointer.version == version
            ):
                return live
        if version is None and any(model == known for known, _ in self._slots):
            raise NoModelError("no version of this model has been released to this server")
        raise NotFoundError("no live model has this name and version")

    def live(self) -> Iterator[LiveModel[Any]]:
        """What serves, in a fixed order of slots."""
        return (slot.live for slot in self._slots.values() if slot.live)

    def refused(self) -> Iterator[Refusal]:
        """Which pointers are not followed, and why."""
        return (slot.refusal for slot in self._slots.values() if slot.refusal)

    async def follow(self) -> None:
        """Look at each pointer; load and swap where one changed. Who asks meanwhile waits for that, too."""
        async with self._following:
            for slot in self._slots.values():
                await self._follow(slot)

    async def _follow(self, slot: _Slot) -> None:
        text = _read(pointer_path(self._bundles, slot.task.model, slot.role))
        changed = text != slot.pointer_text
        if not changed and not slot.try_again:
            return
        slot.pointer_text, slot.try_again = text, False
        if changed:
            self._set_refusal(slot, None)
        if text is None:
            _log.warning("pointer removed, the model serves on", extra=_where(slot))
        else:
            await self._try(slot, text)

    async def _try(self, slot: _Slot, text: str) -> None:
        digest = None
        try:
            pointer = parse_pointer(text)
            digest = pointer.digest
            self._swap(slot, pointer, await asyncio.to_thread(self._scorer, slot.task, digest))
        except (BundleError, ContractError) as error:
            slot.try_again = _is_passing(error.__cause__)
            self._refuse(slot, digest, str(error))

    def _scorer(self, task: Task[S], digest: str) -> S:
        """A verified, warm scorer: the one that another slot has of the same bundle, or a new one."""
        for live in self.live():
            if (live.model, live.pointer.digest) == (task.model, digest):
                return cast("S", live.scorer)
        try:
            bundle = read_bundle(self._bundles / task.model / digest)
            required = {name: self._scorer(self._tasks[name], one) for name, one in bundle.requires.items()}
            scorer = task.scorer(bundle, **required)
            for n_rows in task.warm_up:
                task.canary(scorer, n_rows)
        except (BundleError, ContractError):
            raise
        except Exception as error:  # a foreign bundle can break any step, and onnxruntime's errors have no base class
            raise BundleError(f"can't be used: {type(error).__name__}: {str(error)[:200]}") from error
        return scorer

    def _swap(self, slot: _Slot, pointer: Pointer, scorer: Scorer) -> None:
        before = slot.live
        self._set_refusal(slot, None)
        slot.live = LiveModel(slot.task.model, slot.role, pointer, self._clock(), scorer, slot.task.takes_rows)
        if before:
            self._retire(slot, before.pointer.version)
        self._metrics.slot_version.labels(**_where(slot), version=pointer.version).set(1)
        self._metrics.slot_live.labels(**_where(slot)).set(1)
        self._metrics.swaps.labels(**_where(slot)).inc()
        _log.info("model live", extra={**_where(slot), "version": pointer.version, "digest": pointer.digest})

    def _retire(self, slot: _Slot, version: str) -> None:
        """Take a version off the slot's metrics, and forget those of long ago: Prometheus has seen them."""
        self._metrics.slot_version.remove_by_labels(_where(slot))
        slot.past_versions.append(version)
        if len(slot.past_versions) > _VERSIONS_KEPT:
            oldest = slot.past_versions.pop(0)
            if oldest not in {*slot.past_versions, *(live.pointer.version for live in self.live())}:
                self._metrics.forget(slot.task.model, oldest)

    def _refuse(self, slot: _Slot, digest: str | None, reason: str) -> None:
        if slot.refusal and slot.refusal.reason == reason:
            return  # tried again, in vain
        self._set_refusal(slot, Refusal(slot.task.model, slot.role, digest, reason, self._clock()))
        self._metrics.refusals.labels(**_where(slot)).inc()
        _log.error("release refused", extra={**_where(slot), "digest": digest, "reason": reason})

    def _set_refusal(self, slot: _Slot, refusal: Refusal | None) -> None:
        slot.refusal = refusal
        self._metrics.slot_refused.labels(**_where(slot)).set(refusal is not None)


async def released_champion(bundles: Path, task: Task[S], *, clock: Clock) -> LiveModel[S]:
    """The champion that lies below ``bundles``, for commands; NoModelError where there is none that can be used."""
    slots = Slots(bundles, [task], metrics=Metrics(), clock=clock)
    await slots.follow()
    model = slots.champion(task)
    if model is None:
        reasons = [one.reason for one in slots.refused() if one.role == "champion"]
        raise NoModelError(f"no {task.model} model to score with: {(reasons or ['none has been released'])[0]}")
    return model


def _is_passing(cause: BaseException | None) -> bool:
    """Whether it is the machine's trouble (no memory, a disk that does not answer) and not the release's."""
    return isinstance(cause, OSError | MemoryError) and not isinstance(cause, FileNotFoundError | NotADirectoryError)


def _where(slot: _Slot) -> dict[str, str]:
    return {"model": slot.task.model, "role": slot.role}


def _read(pointer: Path) -> str | None:
    """The text of a pointer file, garbled where it is no text; None where there is none."""
    try:
        return pointer.read_text(errors="replace")
    except OSError:
        return None

"""What would change under another policy: recent scores, and the states they were made from, judged by both."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from features.user import Seen
from models.policy.evaluation import PolicyEvaluator
from models.policy.note_facts import LabelSaid, NoteKnown
from models.policy.populations import Populations
from models.policy.user_facts import ChurnKnown
from models.policy.words import Decision
from models.quality.settings import QualitySettings
from serving.policies.deciding import NoteToDecide, Sources, note_rules, with_facts
from serving.store.journal import Journal
from serving.store.note_scores import ListedNote, NoteQuery, NoteScoreStore
from serving.store.scores import ScoreRun, ScoreStore

_BLOCK = 1_000


@dataclass(slots=True)
class Simulation:
    """Users and notes by the active policy and by the other, and how many of them come out otherwise."""

    active: PolicyEvaluator
    other: PolicyEvaluator
    as_of: int
    n_users: int = 0
    n_without_score: int = 0
    n_users_changed: int = 0
    n_notes: int = 0
    n_notes_changed: int = 0
    before: Populations = field(default_factory=Populations)
    after: Populations = field(default_factory=Populations)
    decisions: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    """How many notes have which decision by the active policy, and by the other."""

    def decision_rows(self) -> list[list[str]]:
        """A table: a row for each decision by the active policy, a column for each by the other."""
        head = ["now", *(f"then {one}" for one in Decision)]
        return [head, *([one, *(f"{self.decisions[one, then]:,}" for then in Decision)] for one in Decision)]


class Replay(NamedTuple):
    """Where recent scores lie, and the states they were made from."""

    journal: Journal
    scores: ScoreStore
    note_scores: NoteScoreStore
    sources: Sources


async def simulate(
    replay: Replay,
    active: PolicyEvaluator,
    other: PolicyEvaluator,
    settings: QualitySettings | None,
    *,
    now: int,
    most: int | None = None,
) -> Simulation:
    """Judge users and notes by both policies, ``most`` of either at most; no notes without a quality model's settings.

    Users are judged as of the newest run of ``score-all``, or without one as of ``now``.
    """
    run = await replay.scores.newest_run()
    simulation = Simulation(active, other, run.as_of if run else now)
    await _simulate_users(simulation, replay, run, most)
    if settings:
        await _simulate_notes(simulation, replay, settings, most)
    return simulation


async def _simulate_users(simulation: Simulation, replay: Replay, run: ScoreRun | None, most: int | None) -> None:
    """Judge users of the journal, with the probabilities that the run left.

    Without a run, and for users that it did not reach, the churn probability is unknown.
    """
    longest = max(run.thresholds) if run else 0
    threshold = run.thresholds[longest] if run else np.nan
    async for user_ids in _everyone(replay.journal):
        seen = Seen(await replay.sources.folder.states_at(user_ids, simulation.as_of), simulation.as_of)
        scores = await replay.scores.latest(user_ids, horizon_days=longest) if run else {}
        probability = np.array([scores.get(one) for one in user_ids], np.float32)  # None becomes NaN
        await asyncio.to_thread(_add, simulation, seen, ChurnKnown(probability, threshold))
        simulation.n_without_score += len(user_ids) - len(scores)
        if most is not None and simulation.n_users >= most:
            return


def _add(simulation: Simulation, seen: Seen, churn: ChurnKnown) -> None:
    active, other = simulation.active, simulation.other
    ours, theirs = active.users(seen, churn), other.users(seen, churn)
    simulation.before.add(active, ours)
    simulation.after.add(other, theirs)
    changed = active.tier_codes[ours.tier] != other.tier_codes[theirs.tier]
    changed |= active.stage_codes[ours.stage] != other.stage_codes[theirs.stage]
    simulation.n_users += len(changed)
    simulation.n_users_changed += int(changed.sum())


async def _simulate_notes(simulation: Simulation, replay: Replay, settings: QualitySettings, most: int | None) -> None:
    """Decide about listed notes with the scores that ``score-notes`` left."""
    async for listed in _listed(replay.note_scores):
        notes = [_to_decide(one) for one in listed]
        ours, theirs = [
            await _decisions(policy, replay.sources, notes, settings, simulation.as_of)
            for policy in (simulation.active, simulation.other)
        ]
        simulation.decisions.update(zip(ours, theirs, strict=True))
        simulation.n_notes += len(notes)
        simulation.n_notes_changed += sum(mine != other for mine, other in zip(ours, theirs, strict=True))
        if most is not None and simulation.n_notes >= most:
            return


async def _decisions(
    policy: PolicyEvaluator, sources: Sources, notes: Sequence[NoteToDecide], settings: QualitySettings, as_of: int
) -> list[str]:
    known = await with_facts(policy, sources, notes, as_of)
    return [policy.note_rule(place).outcome for place in note_rules(policy, known, settings).tolist()]


async def _everyone(journal: Journal) -> AsyncIterator[Sequence[str]]:
    after = ""
    while user_ids := await journal.users(after, limit=_BLOCK):
        yield user_ids
        after = user_ids[-1]


async def _listed(scores: NoteScoreStore) -> AsyncIterator[Sequence[ListedNote]]:
    page = await scores.page(NoteQuery("quality"), after=None, limit=_BLOCK)
    while page.notes:
        yield page.notes
        if page.reached is None:
            return
        page = await scores.page(NoteQuery("quality"), after=page.reached, limit=_BLOCK)


def _to_decide(note: ListedNote) -> NoteToDecide:
    said = [LabelSaid(one.label, one.kind, one.probability, one.flagged) for one in note.labels]
    return NoteToDecide(note.note_id, note.author_id, NoteKnown(said, note.quality))

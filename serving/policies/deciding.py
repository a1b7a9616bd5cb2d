"""Decisions about notes: what the active policy makes of what is known of them."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from features.user import Seen
from models.policy.evaluation import Codes, PolicyEvaluator
from models.policy.facts import MAX_REACH, TIER_CODES
from models.policy.note_facts import NoteKnown, note_facts
from models.policy.policy import Policy, Rule
from models.policy.words import Tier
from models.quality.settings import QualitySettings
from serving.errors import StoreError
from serving.folding import Folder
from serving.metrics import Metrics
from serving.policies.live import Policies
from serving.store.reviews import ReviewStore

_log = logging.getLogger(__name__)

_TIER: Final = "author_tier"
_CREDIBILITY: Final = "author_credibility"
_REACH: Final = "reach"
_REPORTS: Final = "n_reports"
_TIERS: Final = {code: tier for tier, code in TIER_CODES.items()}


class NoteToDecide(NamedTuple):
    """What is known of a note, but for what the stores say of it and its author; one that is not stored has no id."""

    note_id: str | None
    author_id: str | None
    known: NoteKnown


class Decided(NamedTuple):
    """The rule that fired for each note and its author's tier (None where that is not known), in order, of which
    policy, and what that had to do without.
    """

    policy: Policy
    rules: Sequence[Rule]
    tiers: Sequence[Tier | None]
    degraded: Sequence[str]


class NoteDeciding:
    """Decides about notes; it reads and changes nothing.

    The tier of a note's author is read from the author's state, whom a note reached and who reported it from the
    journal, and how credible its author is from what reviewers decided.
    """

    def __init__(self, policies: Policies, sources: "Sources", *, metrics: Metrics) -> None:
        self._policies = policies
        self._sources = sources
        self._metrics = metrics

    @property
    def policy(self) -> Policy:
        """The policy that decides now."""
        return self._policies.active.policy

    async def decide(self, notes: Sequence[NoteToDecide], settings: QualitySettings, *, as_of: int) -> Decided:
        """Decide about notes that a model with these settings scored; by the scores alone where the stores can't be
        reached.
        """
        active, shadow = self._policies.active, self._policies.shadow
        degraded = []
        try:
            notes = await with_facts(active, self._sources, notes, as_of)
            if shadow:
                others = await with_facts(shadow, self._sources, notes, as_of)
                self._compare(note_rules(active, notes, settings), note_rules(shadow, others, settings), active, shadow)
        except StoreError:
            _log.warning("notes decided without their authors")
            degraded.append("authors")
        rules = [active.note_rule(one) for one in note_rules(active, notes, settings).tolist()]
        return Decided(active.policy, rules, [_tier(one) for one in notes], degraded)

    def _compare(self, rules: Codes, others: Codes, active: PolicyEvaluator, shadow: PolicyEvaluator) -> None:
        pairs = zip(rules.tolist(), others.tolist(), strict=True)
        same = Counter(active.note_rule(one).outcome == shadow.note_rule(other).outcome for one, other in pairs)
        for is_same, n in same.items():
            self._metrics.policy_shadow.labels("decision", "same" if is_same else "differs").inc(n)


class Sources(NamedTuple):
    """Where the facts lie that no model says."""

    folder: Folder
    reviews: ReviewStore


async def with_facts(
    policy: PolicyEvaluator, sources: Sources, notes: Sequence[NoteToDecide], as_of: int
) -> Sequence[NoteToDecide]:
    """The notes with what the stores say of them, where the policy asks for it: their authors' tiers by this policy and
    their credibility, and how many users they reached and who reported them.

    StoreError where a store can't be reached.
    """
    author_ids = sorted({one.author_id for one in notes if one.author_id is not None})
    note_ids = {one.note_id for one in notes if one.note_id is not None}
    tiers, credible = dict[str, float](), dict[str, float]()
    reach, reports = dict[str, int](), dict[str, int]()
    if _TIER in policy.note_facts and author_ids:
        seen = Seen(await sources.folder.states_at(author_ids, as_of), as_of)
        tiers = dict(zip(author_ids, policy.author_tiers(seen).tolist(), strict=True))
    if _CREDIBILITY in policy.note_facts and author_ids:
        credible = await sources.reviews.credibility(author_ids)
    if _REACH in policy.note_facts and note_ids:
        reach = await sources.reviews.reach(note_ids, most=MAX_REACH)
    if _REPORTS in policy.note_facts and note_ids:
        reports = dict.fromkeys(note_ids, 0) | await sources.reviews.n_reports(note_ids)
    return [
        _with(
            one,
            {
                _TIER: tiers.get(one.author_id or ""),
                _CREDIBILITY: credible.get(one.author_id or ""),
                _REACH: reach.get(one.note_id or ""),
                _REPORTS: reports.get(one.note_id or ""),
            },
        )
        for one in notes
    ]


def note_rules(policy: PolicyEvaluator, notes: Sequence[NoteToDecide], settings: QualitySettings) -> Codes:
    """Per note, the place of the rule that fires."""
    known = [one.known for one in notes]
    facts = note_facts(policy.note_facts, known, promote_from=settings.promote_from, limit_below=settings.limit_below)
    return policy.notes(facts)


def _with(note: NoteToDecide, facts: Mapping[str, float | None]) -> NoteToDecide:
    known = {name: value for name, value in facts.items() if value is not None}
    return note._replace(known=replace(note.known, beside={**note.known.beside, **known}))


def _tier(note: NoteToDecide) -> Tier | None:
    code = note.known.beside.get(_TIER)
    return None if code is None else _TIERS[int(code)]

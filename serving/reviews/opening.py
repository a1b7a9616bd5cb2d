"""Which notes a person is to look at, and how soon."""

import math
import secrets
from collections.abc import Mapping, Sequence
from typing import Final

from models.policy.policy import Policy
from models.policy.words import Decision, Tier
from models.quality.scorer import QualityScorer
from models.quality.settings import Label, LabelKind
from serving.draws import draw
from serving.instants import Clock
from serving.quality import NoteScore
from serving.slots import LiveModel
from serving.store.notes import StoredNote
from serving.store.reviews import UNREADABLE, NewReview, Origin, ReviewStore

TAU_US: Final = 86_400 * 1_000_000
"""A note that waited a day is worth as much as one that weighs e times as much: none waits for ever."""
REACH: Final[Mapping[Tier | None, float]] = {
    None: 1.0,
    Tier.ORDINARY: 1.0,
    Tier.ACTIVE: 2.0,
    Tier.KOC: 10.0,
    Tier.HEAD_CREATOR: 100.0,
}
"""How many more people see what an author of a tier writes, in orders of magnitude."""
_LEAST_UNCERTAIN: Final = 0.05


class Opening:
    """Opens reviews; a ``sample_share`` of all notes is drawn, whatever the policy says of them."""

    def __init__(self, reviews: ReviewStore, *, sample_share: float, clock: Clock) -> None:
        self._reviews = reviews
        self._sample_share = sample_share
        self._clock = clock

    async def look(
        self, scores: Sequence[NoteScore], model: LiveModel[QualityScorer], policy: Policy
    ) -> dict[str, str]:
        """Open the reviews that the policy's decisions, and the draw, ask for.

        What becomes of each note, by its id: what a person decided about this revision before, or else the policy.
        """
        wanted = [one for one in scores if one.decision is Decision.REVIEW or self._is_drawn(one)]
        if wanted:
            await self._reviews.open_many([self.new(one, model, policy) for one in wanted], at=self._clock())
        decided = await self._reviews.verdicts({(one.note.note_id, one.revision or 0) for one in scores})
        return {one.note.note_id: one.decision for one in scores} | decided

    async def open_unreadable(
        self, notes: Sequence[StoredNote], model: LiveModel[QualityScorer], policy: Policy
    ) -> dict[str, str]:
        """Open reviews of notes that no model could read: what a person decided about each revision before, by id."""
        new = [unreadable(one, model, policy, opened_at=self._clock()) for one in notes]
        await self._reviews.open_many(new, at=self._clock())
        return await self._reviews.verdicts({(one.note.note_id, one.revision) for one in notes})

    def new(
        self,
        score: NoteScore,
        model: LiveModel[QualityScorer],
        policy: Policy,
        *,
        origin: Origin | None = None,
        n_reports: int = 0,
    ) -> NewReview:
        """The review that a note would have; without an ``origin``, for its decision or for having been drawn."""
        if score.rule is None:
            raise RuntimeError("a note that nothing was decided about can't be reviewed")
        judged, asked = score.judged, score.decision is Decision.REVIEW
        chances = [*zip(model.scorer.settings.labels, judged.probability, strict=True)] if judged else []
        flagged = {label.name for label in judged.flagged} if judged else set()
        harms = [(label, chance) for label, chance in chances if label.kind is LabelKind.HARM]
        worst = max(harms, key=_excess, default=None)
        return NewReview(
            review_id=secrets.token_hex(12),
            note_id=score.note.note_id,
            revision=score.revision or 0,
            author_id=score.note.author_id,
            category=score.note.category,
            tier=score.tier,
            origin=origin or (Origin.DECISION if asked else Origin.SAMPLE),
            label=worst[0].name if worst and worst[0].name in flagged else None,
            labels={
                label.name: {
                    "kind": label.kind,
                    "probability": chance,
                    "threshold": label.threshold,
                    "flagged": label.name in flagged,
                }
                for label, chance in chances
            },
            quality=judged.quality if judged else None,
            decision=score.decision,
            rule=score.rule.name,
            policy_version=policy.version,
            model_version=model.pointer.version,
            model_digest=model.pointer.digest,
            sampled=self._is_drawn(score),
            propensity=1.0 if asked else self._sample_share,
            n_reports=n_reports,
            priority=priority(severity(harms), REACH[score.tier] * (1 + n_reports), uncertainty(worst), self._clock()),
        )

    def _is_drawn(self, score: NoteScore) -> bool:
        """Whether a revision of a note is drawn: by its hash, so that no server draws twice."""
        return draw(f"{score.note.note_id}\0{score.revision}", purpose=b"review") < self._sample_share


def unreadable(
    stored: StoredNote,
    model: LiveModel[QualityScorer],
    policy: Policy,
    *,
    opened_at: int,
    origin: Origin = Origin.UNREADABLE,
    n_reports: int = 0,
) -> NewReview:
    """The review of a note that the model could not read: it may be anything, and nothing is known of it."""
    return NewReview(
        review_id=secrets.token_hex(12),
        note_id=stored.note.note_id,
        revision=stored.revision,
        author_id=stored.note.author_id,
        category=stored.note.category,
        tier=None,
        origin=origin,
        label=None,
        labels={},
        quality=None,
        decision=Decision.REVIEW,
        rule=UNREADABLE,
        policy_version=policy.version,
        model_version=model.pointer.version,
        model_digest=model.pointer.digest,
        sampled=False,
        propensity=1.0,
        n_reports=n_reports,
        priority=priority(1.0, 1.0 + n_reports, 1.0, opened_at),
    )


def severity(harms: Sequence[tuple[Label, float]]) -> float:
    """How bad a note may be: the expected number of harms in it, and at least 0.1."""
    return max(0.1, sum(chance for _, chance in harms))


def uncertainty(worst: tuple[Label, float] | None) -> float:
    """How little is known: 1 where the worst label's probability is its threshold, less on either side of it."""
    if worst is None:
        return _LEAST_UNCERTAIN
    label, chance = worst
    room = 1 - label.threshold if chance >= label.threshold else label.threshold
    return max(_LEAST_UNCERTAIN, 1 - abs(chance - label.threshold) / max(room, 1e-9))


def priority(severity: float, reach: float, uncertainty: float, opened_at: int) -> float:
    """What the queue is ordered by, largest first, said once and for all."""
    return math.log(severity * reach * uncertainty) - opened_at / TAU_US


def _excess(one: tuple[Label, float]) -> float:
    """How far a label's probability is above its threshold, of what it could be."""
    label, chance = one
    return (chance - label.threshold) / max(label.threshold, 1 - label.threshold)

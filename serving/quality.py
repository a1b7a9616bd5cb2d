"""What notes are worth: the quality champion over titles and bodies."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import repeat
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from models.errors import BundleError
from models.policy.note_facts import LabelSaid, NoteKnown
from models.policy.policy import Policy, Rule
from models.policy.words import Decision, Tier
from models.quality.reading import NoteText
from models.quality.reasons import NoteReason, note_reasons
from models.quality.scorer import QualityScorer, WordAttribution
from models.quality.settings import TASK, Label
from serving.errors import BusyError, FieldProblem, InvalidError, NoModelError, StoreError
from serving.instants import Clock
from serving.logs import failure
from serving.metrics import Metrics
from serving.notes import signature_of, too_long_field
from serving.policies.deciding import Decided, NoteDeciding, NoteToDecide
from serving.slots import LiveModel, Slots, Task
from serving.store.notes import Alike, Note, NoteStore, StoredNote
from serving.workers import NotReachedError, TooSlowError, Workers

_log = logging.getLogger(__name__)

MAX_EXPLAINED: Final = 5
"""How many notes one request may have explained: a note takes as many scores as it has words."""

NEAR: Final = 0.7
"""The similarity from which a note is a near-duplicate."""
MAX_NEAR: Final = 5
MAX_WORDS: Final = 10
_LATE: Final = (NotReachedError, TooSlowError)

_CANARY: Final = NoteText("周末去哪儿", "这家小店藏在巷子里，手冲咖啡很香。")


def _canary(scorer: QualityScorer, n_rows: int) -> None:
    scores = scorer.score([_CANARY] * n_rows)
    answers = np.column_stack([scores.probability, scores.quality / 100])
    if not ((answers >= 0) & (answers <= 1)).all():
        raise BundleError("a note's probabilities are not between 0 and 1, or its quality not between 0 and 100")


QUALITY: Final = Task(TASK, QualityScorer, _canary, warm_up=(1, 8), takes_rows=False)


class Unscored(NamedTuple):
    """An entry that can't be answered, and why: ``unknown_note``, ``too_long``, ``not_in_time`` or ``unreadable``."""

    note_id: str | None
    code: str


@dataclass(frozen=True, slots=True)
class Judged:
    """What the model says of a text, with the labels that are flagged.

    ``signature`` finds its near-copies; ``embedding`` is of shape (128,), None of a model that has none.
    """

    probability: Sequence[float]
    quality: float
    flagged: Sequence[Label]
    reasons: Sequence[NoteReason]
    signature: bytes
    embedding: npt.NDArray[np.float32] | None


@dataclass(frozen=True, slots=True)
class NoteScore:
    """A note scored; ``judged`` is None for one without a word, ``near`` where near-copies could not be looked for.

    ``rule`` is the policy's that fired, ``tier`` the author's where that is known. ``words`` are the heaviest words of
    each flagged label, where that was asked and could be had.
    """

    note: Note
    revision: int | None
    known_since: int | None
    judged: Judged | None
    near: Sequence[Alike] | None = None
    words: Sequence[tuple[str, Sequence[WordAttribution]]] = ()
    rule: Rule | None = None
    tier: Tier | None = None

    @property
    def decision(self) -> Decision:
        """What the policy makes of it; before it was asked, to leave it be."""
        return Decision(self.rule.outcome) if self.rule else Decision.PASS


@dataclass(frozen=True, slots=True)
class NoteAnswer:
    """Notes scored by one model, in the order asked; ``degraded`` names what the answer has to do without."""

    model: LiveModel[QualityScorer]
    policy: Policy
    as_of: int
    results: Sequence[NoteScore | Unscored]
    degraded: Sequence[str]


class NoteScoring:
    """Scores notes; it reads and changes nothing."""

    def __init__(
        self,
        slots: Slots,
        deciding: NoteDeciding,
        notes: NoteStore,
        workers: Workers,
        *,
        timeout_s: float,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._slots = slots
        self._deciding = deciding
        self._notes = notes
        self._workers = workers
        self._timeout_s = timeout_s
        self._metrics = metrics
        self._clock = clock

    async def score(self, asked: Sequence[str | Note], *, explain: bool) -> NoteAnswer:
        """Score stored notes, by id, and others, as they are given; each by itself, as of now.

        NoModelError while no champion is live; BusyError while too many notes wait, or where none was scored in time;
        InvalidError for more than ``MAX_EXPLAINED`` notes to explain.
        """
        if explain and len(asked) > MAX_EXPLAINED:
            detail = f"at most {MAX_EXPLAINED} notes in a request that asks to explain"
            raise InvalidError(detail, errors=[FieldProblem("/notes", "too_many_to_explain", detail)])
        model = self._slots.champion(QUALITY)
        if model is None:
            raise NoModelError("no quality model has been released to this server")
        as_of = self._clock()
        results = await self._judge(model.scorer, await self._found(asked))
        decided = await self._decide(model.scorer, results, as_of)
        scores = {place: one for place, one in enumerate(results) if isinstance(one, NoteScore) and one.judged}
        self._count(model, results)
        near = await self._near(list(scores.values()))
        words = await self._words(model.scorer, list(scores.values())) if explain else []
        missing = {"near_duplicates": near, "explain": words}
        added = zip(scores, near or repeat(None), words or repeat(()), strict=False)
        for place, alike, heaviest in added:
            results[place] = replace(scores[place], near=alike, words=heaviest)
        degraded = [*decided.degraded, *(name for name, found in missing.items() if found is None)]
        return NoteAnswer(model, decided.policy, as_of, results, degraded)

    async def _found(self, asked: Sequence[str | Note]) -> list[StoredNote | Note | Unscored]:
        """What is to be scored: notes as stored or as given."""
        note_ids = {one for one in asked if isinstance(one, str)}
        stored = await self._notes.get_many(note_ids) if note_ids else {}
        return [stored.get(one) or Unscored(one, "unknown_note") if isinstance(one, str) else one for one in asked]

    async def _judge(
        self, scorer: QualityScorer, found: Sequence[StoredNote | Note | Unscored]
    ) -> list[NoteScore | Unscored]:
        """A score for each note, on the workers' threads."""
        notes = [one for one in found if not isinstance(one, Unscored)]
        scored = await self._workers.run_each(partial(_score_or_refuse, scorer), notes, timeout_s=self._timeout_s)
        if notes and all(isinstance(one, _LATE) for one in scored):
            raise BusyError("no note could be scored in time")
        scores = iter(scored)
        return [one if isinstance(one, Unscored) else _answered(one, next(scores)) for one in found]

    async def _decide(self, scorer: QualityScorer, results: list[NoteScore | Unscored], as_of: int) -> Decided:
        """Put the policy's rule, and the author's tier, to each note that was scored."""
        scores = {place: one for place, one in enumerate(results) if isinstance(one, NoteScore)}
        ruled, decided = await decide_scored(self._deciding, scorer, [*scores.values()], as_of=as_of)
        for place, score in zip(scores, ruled, strict=True):
            results[place] = score
        return decided

    async def _near(self, scores: Sequence[NoteScore]) -> list[list[Alike]] | None:
        """The near-duplicates of each note, itself left out; None while they can't be looked for."""
        signatures = [one.judged.signature for one in scores if one.judged]
        try:
            found = await self._notes.alike(signatures, at_least=NEAR, limit=MAX_NEAR + 1) if signatures else []
        except StoreError:
            return None
        return [
            [one for one in own if one.note_id != score.note.note_id][:MAX_NEAR]
            for score, own in zip(scores, found, strict=True)
        ]

    async def _words(
        self, scorer: QualityScorer, scores: Sequence[NoteScore]
    ) -> list[list[tuple[str, list[WordAttribution]]]] | None:
        """The heaviest words of each note's flagged labels; None while too much else is being explained."""
        try:
            return await self._workers.run_slow(_heaviest, scorer, scores)
        except BusyError:
            _log.warning("notes not explained")
            return None

    def _count(self, model: LiveModel[QualityScorer], results: Sequence[NoteScore | Unscored]) -> None:
        labels = model.model, model.pointer.version
        self._metrics.batch_size.observe([len(results)], "score_notes")
        outcomes = Counter(_outcome(one) for one in results)
        for outcome, n in outcomes.items():
            self._metrics.notes_scored.labels(*labels, outcome).inc(n)
        judged = [one.judged for one in results if isinstance(one, NoteScore) and one.judged]
        self._metrics.quality.observe([one.quality for one in judged], *labels)


def _answered(entry: StoredNote | Note, outcome: NoteScore | Unscored | Exception) -> NoteScore | Unscored:
    """A note's score, or why it has none."""
    if not isinstance(outcome, Exception):
        return outcome
    note = entry.note if isinstance(entry, StoredNote) else entry
    if isinstance(outcome, _LATE):
        return Unscored(note.note_id, "not_in_time")
    _log.error("note not scored", extra=failure(outcome))
    return Unscored(note.note_id, "unreadable")


def _outcome(result: NoteScore | Unscored) -> str:
    if isinstance(result, Unscored):
        return result.code
    return result.decision if result.judged else "no_text"


def _score_or_refuse(scorer: QualityScorer, entry: StoredNote | Note) -> NoteScore | Unscored:
    """The scores of a note; one that is given is measured first, as a stored one was when it was put."""
    if isinstance(entry, Note) and too_long_field(entry):
        return Unscored(entry.note_id, "too_long")
    return score_note(scorer, entry)


def score_note(scorer: QualityScorer, entry: StoredNote | Note) -> NoteScore:
    """The scores of one note, stored or not, without its near-duplicates and the policy's rule.

    BundleError where the model gives a note no number; what a graph raises itself comes as it is.
    """
    stored = entry if isinstance(entry, StoredNote) else None
    note = entry.note if isinstance(entry, StoredNote) else entry
    known_since = stored.known_since if stored else note.published_at
    unjudged = NoteScore(note, stored.revision if stored else None, known_since, judged=None, near=())
    scores = scorer.score([NoteText(note.title, note.body)])
    (signals,) = scores.signals
    if not any(field.normalised.text for field in signals.note.fields):
        return unjudged
    if not (np.isfinite(scores.probability).all() and np.isfinite(scores.quality).all()):
        raise BundleError("the model has no number for a note")
    probability, quality = scores.probability[0].tolist(), float(scores.quality[0])
    chances = list(zip(scorer.settings.labels, probability, strict=True))
    flagged = [(label, chance) for label, chance in chances if chance >= label.threshold]
    labels = [label for label, _ in flagged]
    signature = stored.signature if stored else signature_of(note)
    reasons = note_reasons(flagged, signals.findings)
    embedding = None if scores.embedding is None else scores.embedding[0]
    return replace(unjudged, judged=Judged(probability, quality, labels, reasons, signature, embedding))


async def decide_scored(
    deciding: NoteDeciding, scorer: QualityScorer, scores: Sequence[NoteScore], *, as_of: int
) -> tuple[list[NoteScore], Decided]:
    """The scores with the policy's rule, and the author's tier, put to each; and what was decided as a whole."""
    decided = await deciding.decide([_to_decide(scorer, one) for one in scores], scorer.settings, as_of=as_of)
    rows = zip(scores, decided.rules, decided.tiers, strict=True)
    return [replace(score, rule=rule, tier=tier) for score, rule, tier in rows], decided


def _to_decide(scorer: QualityScorer, score: NoteScore) -> NoteToDecide:
    judged = score.judged
    if judged is None:
        return NoteToDecide(_stored_id(score), score.note.author_id, NoteKnown())
    chances = zip(scorer.settings.labels, judged.probability, strict=True)
    said = [LabelSaid(label.name, label.kind, chance, label in judged.flagged) for label, chance in chances]
    return NoteToDecide(_stored_id(score), score.note.author_id, NoteKnown(said, judged.quality))


def _stored_id(score: NoteScore) -> str | None:
    return None if score.revision is None else score.note.note_id


def _heaviest(scorer: QualityScorer, scores: Sequence[NoteScore]) -> list[list[tuple[str, list[WordAttribution]]]]:
    return [_heaviest_of(scorer, one) for one in scores]


def _heaviest_of(scorer: QualityScorer, score: NoteScore) -> list[tuple[str, list[WordAttribution]]]:
    flagged = score.judged.flagged if score.judged else ()
    if not flagged:
        return []
    columns = [scorer.settings.labels.index(label) for label in flagged]
    found = scorer.attribute(NoteText(score.note.title, score.note.body), columns)
    return [(label.name, own[:MAX_WORDS]) for label, own in zip(flagged, found, strict=True)]

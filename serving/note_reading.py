"""Has stored notes read by the models, each once by every new model: what feeds show and what people review.

Whichever server comes first reads a note; all learn of it from the store.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final, NamedTuple

from models.policy.words import SHOWN, Tier
from models.quality.reading import NoteText
from models.quality.scorer import QualityScorer
from models.recommend.vectors import quantised
from serving.each import raise_all
from serving.errors import BusyError
from serving.instants import SECOND_US, Clock
from serving.policies.deciding import NoteDeciding
from serving.quality import QUALITY, NoteScore, decide_scored, score_note
from serving.recommender import RECOMMEND, Recommender
from serving.reviews.opening import Opening
from serving.slots import LiveModel, Slots
from serving.store.catalogue import CatalogueStore, NoteRead, Postponed, Unread
from serving.store.notes import NoteStore, StoredNote
from serving.workers import NotReachedError, Workers

_READ_AT_ONCE: Final = 16
_ROUNDS: Final = 10
"""How often, in one go, notes are read before the champions are looked at again."""
_READ_TIMEOUT_S: Final = 10.0
MAX_ATTEMPTS: Final = 3
"""How often models try to read a note before a person has to."""
_FIRST_WAIT_S: Final = 2
_NOBODY: Final = "-"

_Entry = tuple[Unread, StoredNote]


class Readers(NamedTuple):
    """What reads notes: the model that embeds them, and the one that judges them; either may be missing."""

    encoder_digest: str
    encoder: QualityScorer | None
    judge: LiveModel[QualityScorer] | None

    @property
    def name(self) -> str:
        """What names the two in the store."""
        return f"{self.encoder_digest}/{self.judge.pointer.digest if self.judge else _NOBODY}"


def readers_of(slots: Slots, recommender: Recommender | None) -> Readers:
    """The encoder that the recommender was built on, or else the quality champion, who judges in any case."""
    judge = slots.champion(QUALITY)
    if recommender and recommender.encoder:
        return Readers(recommender.encoder_digest or _NOBODY, recommender.encoder, judge)
    return Readers(judge.pointer.digest if judge else _NOBODY, judge.scorer if judge else None, judge)


class NoteReading:
    """Reads what the champions have not read, and opens the reviews that the policy asks for."""

    def __init__(
        self,
        slots: Slots,
        deciding: NoteDeciding,
        store: CatalogueStore,
        notes: NoteStore,
        opening: Opening,
        workers: Workers,
        *,
        clock: Clock,
    ) -> None:
        self._slots = slots
        self._deciding = deciding
        self._store = store
        self._notes = notes
        self._opening = opening
        self._workers = workers
        self._clock = clock

    async def follow(self) -> None:
        """Read notes until none is left, or the champions are to be looked at again.

        A note that can't be read is tried again after others, and after ``MAX_ATTEMPTS`` goes to a person, and into no
        feed until then. What failed is raised at the end.
        """
        champion = self._slots.champion(RECOMMEND)
        readers = readers_of(self._slots, champion.scorer if champion else None)
        if readers.encoder is None and readers.judge is None:
            return
        failures: list[Exception] = []
        for _ in range(_ROUNDS):
            if not await self._read(readers, failures):
                break
        raise_all(failures)

    async def _read(self, readers: Readers, failures: list[Exception]) -> bool:
        """Have some notes read that these models have not read; whether there were any. What fails joins the list."""
        unread = await self._store.unread(readers.name, at=self._clock(), limit=_READ_AT_ONCE)
        if not unread:
            return False
        stored = await self._notes.get_many([one.note_id for one in unread])
        wanted = [(one, stored[one.note_id]) for one in unread if one.note_id in stored]
        try:
            looked = await self._workers.run_each(partial(_look, readers), wanted, timeout_s=_READ_TIMEOUT_S)
        except BusyError:
            return False
        if seen := [one for one in looked if isinstance(one, _Looked)]:
            await self._store.put_read(readers.name, await self._decide(readers, seen))
        failed = [(entry, outcome) for entry, outcome in zip(wanted, looked, strict=True) if _is_failure(outcome)]
        if failed:
            await self._pass_by(readers, [entry for entry, _ in failed])
            failures += [outcome for _, outcome in failed if isinstance(outcome, Exception)]
        return bool(seen or failed)

    async def _pass_by(self, readers: Readers, entries: Sequence[_Entry]) -> None:
        """Have notes that could not be read tried again later, or looked at by a person; raises what the models raise
        for a note that anything can read: then it is not the notes.
        """
        (outcome,) = await self._workers.run_each(_try, [readers], timeout_s=_READ_TIMEOUT_S)
        if isinstance(outcome, Exception):
            raise outcome
        again = [one for one in entries if one[0].n_attempts + 1 < MAX_ATTEMPTS]
        if again:
            await self._store.postpone([_postponed(unread, self._clock()) for unread, _ in again])
        if given_up := [one for one in entries if one not in again]:
            await self._give_up(readers, given_up)

    async def _give_up(self, readers: Readers, entries: Sequence[_Entry]) -> None:
        """Leave notes to people, where models judge notes at all; as read by these models, and shown nowhere."""
        verdicts: dict[str, str] = {}
        if readers.judge:
            notes = [stored for _, stored in entries]
            verdicts = await self._opening.open_unreadable(notes, readers.judge, self._deciding.policy)
        read = [
            NoteRead(one.note_no, one.change_no, None, None, verdicts.get(one.note_id) not in SHOWN)
            for one, _ in entries
        ]
        await self._store.put_read(readers.name, read)

    async def _decide(self, readers: Readers, seen: Sequence["_Looked"]) -> list[NoteRead]:
        """What was read, and what the active policy, or a person, makes of it.

        Reviews are opened before that is kept: none is missed.
        """
        judge = readers.judge
        if judge is None:
            return [NoteRead(one.unread.note_no, one.unread.change_no, one.vector, None, False) for one in seen]
        scores = [one.score for one in seen if one.score]
        ruled, decided = await decide_scored(self._deciding, judge.scorer, scores, as_of=self._clock())
        verdicts = await self._opening.look(ruled, judge, decided.policy)
        return [
            NoteRead(
                one.unread.note_no,
                one.unread.change_no,
                one.vector,
                score.judged.quality if score.judged else None,
                verdicts[score.note.note_id] not in SHOWN,
                score.tier is Tier.KOC,
            )
            for one, score in zip(seen, ruled, strict=True)
        ]


class _Looked(NamedTuple):
    """A note that models looked at; without a judge it has no score."""

    unread: Unread
    vector: bytes | None
    score: NoteScore | None


def _is_failure(outcome: _Looked | Exception) -> bool:
    """Whether the note itself failed: one that no thread got to did not."""
    return isinstance(outcome, Exception) and not isinstance(outcome, NotReachedError)


def _postponed(unread: Unread, now: int) -> Postponed:
    wait_s = _FIRST_WAIT_S * 4**unread.n_attempts
    return Postponed(unread.note_no, unread.change_no, unread.n_attempts + 1, now + wait_s * SECOND_US)


def _try(readers: Readers) -> None:
    """Have the models read a note that anything can read."""
    for scorer in _scorers(readers):
        QUALITY.canary(scorer, 1)


def _scorers(readers: Readers) -> Iterator[QualityScorer]:
    if readers.encoder:
        yield readers.encoder
    if readers.judge and readers.judge.scorer is not readers.encoder:
        yield readers.judge.scorer


def _look(readers: Readers, entry: _Entry) -> _Looked:
    unread, stored = entry
    judge = readers.judge.scorer if readers.judge else None
    score = score_note(judge, stored) if judge else None
    embedding = score.judged.embedding if score and score.judged else None
    if readers.encoder and readers.encoder is not judge:
        embeddings = readers.encoder.score([NoteText(stored.note.title, stored.note.body)]).embedding
        embedding = None if embeddings is None else embeddings[0]
    vector = None if embedding is None else quantised(embedding[None])[0]
    return _Looked(unread, vector.tobytes() if vector is not None and vector.any() else None, score)

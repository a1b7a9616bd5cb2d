"""Notes: what is stored of them, and their scores."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request

from models.policy.words import Decision
from models.quality.settings import LabelKind
from serving.deps import GuardedRoute, ListedNotes, NoteIngest, QualityScoring, StoredNotes
from serving.instants import to_datetime, to_us
from serving.middleware import Call, call_of
from serving.quality import QUALITY, Judged, NoteAnswer, NoteScore, Unscored
from serving.schemas.base import Fired, Id, ModelRef
from serving.schemas.entries import DETAIL, MALFORMED, Malformed, merged, well_formed
from serving.schemas.notes import (
    LabelScore,
    NearDuplicate,
    NoteDeleted,
    NoteIn,
    NoteListed,
    NoteOut,
    NoteProblem,
    NoteScored,
    NoteScores,
    NotesListed,
    NoteStored,
    NoteToScore,
    ReasonAt,
    ScoredBy,
    ScoreNotes,
    WantedNotes,
    WordOut,
)
from serving.store.note_scores import ListedNote
from serving.store.notes import Alike, Note, StoredNote

NoteId = Annotated[Id, Path(examples=["n-42"])]
NoteToDelete = Annotated[Id, Path(examples=["n-to-delete"])]

router = APIRouter(prefix="/v1", tags=["notes"], route_class=GuardedRoute)

_DETAILS: Final = {
    "unknown_note": "no note is stored under this id",
    "too_long": "the title has more than 200 characters, or the body more than 20,000, as written or once folded",
    "not_in_time": "the server did not get to this note in time: ask again for it",
    "unreadable": "the model failed on this note: to ask again will not help, and a person has to look at it",
}
_NO_TEXT: Final = ReasonAt(code="no_text", zh="笔记没有文字，无从判断", en="The note has no text to judge")


@router.post("/notes:score")
async def score_notes(body: ScoreNotes, scoring: QualityScoring, request: Request) -> NoteScores:
    """Score up to 200 notes, stored or given here: what deserves reach, what needs eyes. Nothing is stored.

    A result for each, in order, or why it has none. With `explain`, up to 5 notes, and the words that made them be
    flagged.
    """
    answer = await scoring.score([_asked(one) for one in well_formed(body.notes)], explain=body.explain)
    return _scores(answer, body.notes, call_of(request))


@router.get("/notes")
async def list_notes(lists: ListedNotes, wanted: Annotated[WantedNotes, Query()], request: Request) -> NotesListed:
    """List stored notes as `python -m serving score-notes` last scored them: which deserve reach, which need eyes.

    Pages go on from `next_cursor` while `has_more`; a note whose scores do not change meanwhile is listed once.
    """
    notes, next_cursor = await lists.page(wanted.query(), cursor=wanted.cursor, limit=wanted.limit)
    return NotesListed(
        **call_of(request).meta,
        results=[_listed(one) for one in notes],
        has_more=next_cursor is not None,
        next_cursor=next_cursor,
    )


@router.put("/notes/{note_id}")
async def put_note(note_id: NoteId, body: NoteIn, notes: NoteIngest, request: Request) -> NoteStored:
    """Store a note in place of the one before. Putting the same again changes nothing."""
    fields = dict(body) | {"published_at": to_us(body.published_at) if body.published_at else None}
    stored = await notes.put(Note(note_id, **fields))
    return NoteStored(**call_of(request).meta, **_of_store(stored))


@router.get("/notes/{note_id}")
async def get_note(note_id: NoteId, notes: StoredNotes, request: Request) -> NoteOut:
    """Give a note as it is stored."""
    stored = await notes.get(note_id)
    published_at = stored.note.published_at
    fields = stored.note._asdict() | {"published_at": None if published_at is None else to_datetime(published_at)}
    return NoteOut(**call_of(request).meta, **_of_store(stored) | fields)


@router.delete("/notes/{note_id}")
async def delete_note(note_id: NoteToDelete, notes: NoteIngest, request: Request) -> NoteDeleted:
    """Leave nothing of a note, its scores included."""
    return NoteDeleted(**call_of(request).meta, note_id=note_id, existed=await notes.delete(note_id))


def _listed(note: ListedNote) -> NoteListed:
    return NoteListed(
        note_id=note.note_id,
        revision=note.revision,
        author_id=note.author_id,
        category=note.category,
        known_since=to_datetime(note.known_since),
        quality=note.quality,
        decision=Decision(note.decision),
        labels=[LabelScore(**{**one._asdict(), "kind": LabelKind(one.kind)}) for one in note.labels],
        scored_at=to_datetime(note.run.as_of),
        model=ScoredBy(name=QUALITY.model, version=note.run.version, digest=note.run.digest),
    )


def _of_store(stored: StoredNote) -> dict[str, Any]:
    return {
        "note_id": stored.note.note_id,
        "revision": stored.revision,
        "digest": stored.digest,
        "stored_at": to_datetime(stored.stored_at),
        "updated_at": to_datetime(stored.updated_at),
    }


def _asked(entry: NoteToScore) -> str | Note:
    if entry.body is None:
        return entry.note_id or ""
    published_at = to_us(entry.published_at) if entry.published_at else None
    return Note(entry.note_id or "", entry.title or "", entry.body, entry.author_id, published_at=published_at)


def _scores(answer: NoteAnswer, asked: Sequence[NoteToScore | Malformed], call: Call) -> NoteScores:
    pointer = answer.model.pointer
    call.model, call.version = answer.model.model, pointer.version
    return NoteScores(
        **call.meta,
        model=ModelRef(
            name=answer.model.model, version=pointer.version, alias=answer.model.role, digest=pointer.digest
        ),
        policy_version=answer.policy.version,
        degraded=list(answer.degraded),
        features_as_of=to_datetime(answer.as_of),
        results=[
            _malformed(one) if isinstance(one, Malformed) else _result(one, answer)
            for one in merged(asked, answer.results)
        ],
    )


def _malformed(entry: Malformed) -> NoteProblem:
    note_id, errors = entry.named("note_id"), entry.said("notes")
    return NoteProblem(note_id=note_id, status="problem", code=MALFORMED, detail=DETAIL, errors=errors)


def _result(result: NoteScore | Unscored, answer: NoteAnswer) -> NoteScored | NoteProblem:
    if isinstance(result, Unscored):
        code: Any = result.code
        return NoteProblem(note_id=result.note_id or None, status="problem", code=code, detail=_DETAILS[code])
    if result.rule is None:
        raise RuntimeError("a note was scored and not decided about")
    shown: Mapping[str, Any] = _judged(result.judged, answer) if result.judged else _WITHOUT_TEXT
    return NoteScored(
        note_id=result.note.note_id or None,
        revision=result.revision,
        decision=result.decision,
        decision_rule=Fired(rule=result.rule.name, **result.rule.text._asdict()),
        **shown,
        words=[
            WordOut(label=label, field=field, start=span.start, end=span.end, contribution=contribution)
            for label, own in result.words
            for field, span, contribution in own
        ],
        near_duplicates=None if result.near is None else [_near(one, result, answer) for one in result.near],
    )


_WITHOUT_TEXT: Final = {
    "status": "no_text",
    "labels": [],
    "quality": None,
    "reasons": [_NO_TEXT],
}


def _judged(judged: Judged, answer: NoteAnswer) -> dict[str, Any]:
    labels = answer.model.scorer.settings.labels
    return {
        "status": "scored",
        "labels": [
            LabelScore(
                label=label.name,
                kind=label.kind,
                probability=probability,
                threshold=label.threshold,
                flagged=label in judged.flagged,
            )
            for label, probability in zip(labels, judged.probability, strict=True)
        ],
        "quality": judged.quality,
        "reasons": [
            ReasonAt(code=one.code, **one.text._asdict(), field=one.field, start=one.start, end=one.end)
            for one in judged.reasons
        ],
    }


def _near(alike: Alike, score: NoteScore, answer: NoteAnswer) -> NearDuplicate:
    mine, theirs = score.note.author_id, alike.author_id
    same_author = None if mine is None or theirs is None else mine == theirs
    earlier = alike.known_since < (answer.as_of if score.known_since is None else score.known_since)
    when = ("更早", "earlier") if earlier else ("不早于本笔记", "not earlier")
    by = {None: ("", ""), True: ("，同一作者", " by the same author"), False: ("，另一作者", " by another author")}
    return NearDuplicate(
        note_id=alike.note_id,
        similarity=alike.similarity,
        known_since=to_datetime(alike.known_since),
        earlier=earlier,
        same_author=same_author,
        zh=f"相似度 {alike.similarity:.2f}，对方发布{when[0]}{by[same_author][0]}",
        en=f"Similarity {alike.similarity:.2f}, published {when[1]}{by[same_author][1]}",
    )

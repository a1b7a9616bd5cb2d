"""What changes reviews, each in one transaction, with a line in their log."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, Select, delete, insert, or_, select, update

from models.policy.words import SHOWN
from serving.store.desk_tables import IS_CLAIMED, IS_OPEN, IS_TO_TELL, REVIEW_CHANGES, REVIEWS, WAITS
from serving.store.reviews import UNREADABLE, After, Claim, Judgement, NewReview, Origin, Outcome, Review, ReviewState
from serving.store.sql_catalogue import note_withheld
from serving.store.tables import NOTES, WATERMARKS

_R: Final = REVIEWS.c
_NOBODY: Final = "-"
_FREE: Final[Mapping[str, Any]] = {"state": ReviewState.OPEN, "holder": None, "lease": None, "lease_until": None}
_UNDECIDED: Final = dict.fromkeys(("decided_at", "judgement", "outcome", "verdict", "tell_at"))
_TAKEN_OVER: Final = (
    "revision", "author_id", "category", "tier", "label", "labels", "quality", "decision", "rule",
    "policy_version", "model_version", "model_digest",
)  # fmt: skip
_LOGGED: Final = ("state", "origin", "holder", "outcome", "verdict", "for_lead", "revision")


def open_new(connection: Connection, new: Sequence[NewReview], at: int) -> None:
    """See ``ReviewStore.open_many``."""
    _lock(connection)
    note_ids = {one.note_id for one in new}
    stored = select(NOTES.c.note_id).where(NOTES.c.note_id.in_(note_ids)).order_by(NOTES.c.note_id)
    kept = {*connection.scalars(stored.with_for_update(read=True))}  # nobody deletes them meanwhile
    decided = _decided(connection, note_ids)
    for one in new:
        if one.note_id in kept and (one.origin is Origin.REPORT or (one.note_id, one.revision) not in decided):
            _open(connection, one, at)


def _decided(connection: Connection, note_ids: set[str]) -> set[tuple[str, int]]:
    among = select(_R.note_id, _R.revision).where(_R.note_id.in_(note_ids), _R.state == ReviewState.DECIDED)
    return {(note_id, revision) for note_id, revision in connection.execute(among)}


def _open(connection: Connection, new: NewReview, at: int) -> None:
    waiting = _waiting(connection, new.note_id)
    row = _row(new)
    if waiting is None:
        _insert(connection, row, at, who=_NOBODY)
        return
    changed: dict[str, Any] = {
        "n_reports": max(waiting.n_reports, new.n_reports),
        "sampled": waiting.sampled or new.sampled,
    }
    more = math.log((1 + changed["n_reports"]) / (1 + waiting.n_reports))
    changed["priority"] = max(waiting.priority + more, new.priority)
    if new.revision > waiting.revision or (waiting.rule == UNREADABLE != new.rule):
        changed |= {name: row[name] for name in _TAKEN_OVER}
    if any(getattr(waiting, name) != value for name, value in changed.items()):
        _change(connection, waiting, changed, _Deed(_NOBODY, "refresh", at))


def open_appeal(connection: Connection, new: NewReview, text: str, at: int) -> Review | None:
    """See ``ReviewStore.appeal``."""
    _lock(connection)
    waiting = _waiting(connection, new.note_id)
    if waiting is not None and waiting.appeal is not None:
        return None
    last = select(_R.review_id, _R.holder).where(_R.note_id == new.note_id, _R.state == ReviewState.DECIDED)
    first = connection.execute(last.order_by(_R.decided_at.desc()).limit(1)).one_or_none()
    beside: dict[str, Any] = {"origin": Origin.APPEAL, "appeal": json.dumps(text)}
    if first:
        beside |= {"about": first.review_id, "not_by": first.holder}
    if waiting is None:
        return _insert(connection, _row(new) | beside, at, who=_NOBODY)
    return _change(connection, waiting, beside, _Deed(_NOBODY, "appeal", at))


def claim_first(connection: Connection, claim: Claim, matching: Sequence[ColumnElement[bool]]) -> Review | None:
    """See ``ReviewStore.claim``."""
    _lock(connection)
    _free_expired(connection, claim.at)
    mine = select(REVIEWS).where(IS_CLAIMED, _R.holder == claim.reviewer_id).limit(1)
    if held := connection.execute(mine).one_or_none():
        return review_of(held)
    row = connection.execute(first_for(claim, matching)).one_or_none()
    if row is None:
        return None
    return _change(connection, row, _held(claim), _Deed(claim.reviewer_id, "claim", claim.at))


def first_for(claim: Claim, matching: Sequence[ColumnElement[bool]]) -> Select[Any]:
    """The first review in order that a reviewer may have."""
    possible = [or_(_R.not_by.is_(None), _R.not_by != claim.reviewer_id), *matching]
    if not claim.is_lead:
        possible.append(_R.for_lead.is_(False))
    return select(REVIEWS).where(IS_OPEN, *possible).order_by(_R.priority.desc(), _R.review_id.desc()).limit(1)


def renew(connection: Connection, review_id: str, claim: Claim) -> Review | None:
    """See ``ReviewStore.renew``."""
    _lock(connection)
    row = _held_row(connection, review_id, claim)
    return _change(connection, row, {"lease_until": claim.until}, None) if row else None


def release(connection: Connection, review_id: str, claim: Claim) -> bool:
    """See ``ReviewStore.release``."""
    _lock(connection)
    row = _held_row(connection, review_id, claim)
    if row:
        _change(connection, row, _FREE, _Deed(claim.reviewer_id, "release", claim.at))
    return row is not None


def decide(
    connection: Connection, review_id: str, claim: Claim, judgement: Judgement, revision: int, after: After
) -> Review | None:
    """See ``ReviewStore.decide``."""
    _lock(connection)
    written = json.dumps(judgement._asdict(), ensure_ascii=False)
    again = select(REVIEWS).where(_R.review_id == review_id, _R.lease == claim.lease, _R.judgement == written)
    if done := connection.execute(again).one_or_none():
        return review_of(done)
    row = _held_row(connection, review_id, claim)
    current = select(NOTES.c.revision).where(NOTES.c.note_id == row.note_id) if row else None
    if row is None or current is None or not revision == row.revision == connection.scalar(current):
        return None
    deed = _Deed(claim.reviewer_id, "decide", claim.at)
    if judgement.outcome is Outcome.ESCALATE:
        return _change(connection, row, {**_FREE, "for_lead": True}, deed._replace(what="escalate"))
    decided = {
        "state": ReviewState.DECIDED,
        "lease_until": None,
        "decided_at": claim.at,
        "judgement": written,
        "outcome": judgement.outcome,
        "verdict": judgement.verdict,
        "tell_at": after.tell_at,
    }
    review = _change(connection, row, decided, deed)
    note_withheld(connection, row.note_id, withheld=judgement.verdict not in SHOWN)
    if after.second:
        _insert(connection, _second_opinion(row, after.second, claim.reviewer_id), claim.at, who=_NOBODY)
    return review


def take_due(connection: Connection, at: int, again_at: int, limit: int) -> list[tuple[Review, int]]:
    """See ``ReviewStore.due``."""
    _lock(connection)
    page = select(REVIEWS).where(IS_TO_TELL, _R.tell_at <= at).order_by(_R.tell_at).limit(limit)
    rows = connection.execute(page).all()
    taken = [row.review_id for row in rows]
    connection.execute(update(REVIEWS).where(_R.review_id.in_(taken)).values(tell_at=again_at))
    return [(review_of(row), row.n_told) for row in rows]


def undo(connection: Connection, review_id: str, claim: Claim, since: int) -> Review | None:
    """See ``ReviewStore.undo``."""
    _lock(connection)
    mine = select(REVIEWS).where(_R.review_id == review_id, _R.holder == claim.reviewer_id, _R.decided_at >= since)
    row = connection.execute(mine).one_or_none()
    if row is None:
        return None
    waiting = _waiting(connection, row.note_id)
    if waiting is not None and (waiting.about, waiting.origin) != (review_id, Origin.SECOND_OPINION):
        return None  # something else was said of the note since
    if waiting is not None:
        connection.execute(delete(REVIEWS).where(_R.review_id == waiting.review_id))
    note_withheld(connection, row.note_id, withheld=row.decision not in SHOWN)
    return _change(connection, row, {**_held(claim), **_UNDECIDED}, _Deed(claim.reviewer_id, "undo", claim.at))


def judgement_of(written: str) -> Judgement:
    """The judgement that was written down."""
    said = json.loads(written)
    return Judgement(**{**said, "outcome": Outcome(said["outcome"])})


def review_of(row: Row[Any]) -> Review:
    """A row as a review."""
    return Review(
        **{one.name: getattr(row, one.name) for one in fields(Review)}
        | {
            "origin": Origin(row.origin),
            "state": ReviewState(row.state),
            "labels": json.loads(row.labels),
            "appeal": None if row.appeal is None else json.loads(row.appeal),
            "judgement": judgement_of(row.judgement) if row.judgement else None,
        }
    )


class _Deed(NamedTuple):
    who: str
    what: str
    at: int


def _lock(connection: Connection) -> None:
    """Take turns: each change knows what it changes."""
    connection.execute(select(WATERMARKS.c.seq).where(WATERMARKS.c.name == "reviews").with_for_update())


def _waiting(connection: Connection, note_id: str) -> Row[Any] | None:
    return connection.execute(select(REVIEWS).where(_R.note_id == note_id, WAITS)).one_or_none()


def _held_row(connection: Connection, review_id: str, claim: Claim) -> Row[Any] | None:
    """The row, if the token still holds it."""
    held = IS_CLAIMED, _R.holder == claim.reviewer_id, _R.lease == claim.lease, _R.lease_until >= claim.at
    return connection.execute(select(REVIEWS).where(_R.review_id == review_id, *held)).one_or_none()


def _held(claim: Claim) -> dict[str, Any]:
    return {
        "state": ReviewState.CLAIMED,
        "holder": claim.reviewer_id,
        "lease": claim.lease,
        "lease_until": claim.until,
    }


def _free_expired(connection: Connection, at: int) -> None:
    for row in connection.execute(select(REVIEWS).where(IS_CLAIMED, _R.lease_until < at)).all():
        _change(connection, row, _FREE, _Deed(_NOBODY, "expire", at))


def _row(new: NewReview) -> dict[str, Any]:
    return {**asdict(new), "labels": json.dumps(new.labels)}


def _second_opinion(row: Row[Any], review_id: str, not_by: str) -> dict[str, Any]:
    same = {one.name: getattr(row, one.name) for one in fields(NewReview)}
    told = {"review_id": review_id, "origin": Origin.SECOND_OPINION, "about": row.review_id, "not_by": not_by}
    return same | told


def _insert(connection: Connection, row: Mapping[str, Any], at: int, *, who: str) -> Review:
    state = {"state": ReviewState.OPEN, "opened_at": at, "for_lead": False}
    added = connection.execute(insert(REVIEWS).values({**row, **state}).returning(REVIEWS)).one()
    _log(connection, added, _Deed(who, "open", at), {})
    return review_of(added)


def _change(connection: Connection, row: Row[Any], changed: Mapping[str, Any], deed: _Deed | None) -> Review:
    changing = update(REVIEWS).where(_R.review_id == row.review_id).values(changed).returning(REVIEWS)
    after = connection.execute(changing).one()
    if deed:
        _log(connection, after, deed, {name: getattr(row, name) for name in _LOGGED})
    return review_of(after)


def _log(connection: Connection, row: Row[Any], deed: _Deed, before: Mapping[str, Any]) -> None:
    after = {name: getattr(row, name) for name in _LOGGED}
    changed = [name for name in _LOGGED if before.get(name) != after[name]]
    written = {
        "changed_at": deed.at,
        "review_id": row.review_id,
        "who": deed.who,
        "what": deed.what,
        "before": json.dumps({name: before[name] for name in changed if name in before}),
        "after": json.dumps({name: after[name] for name in changed}),
        "policy_version": row.policy_version,
        "model_version": row.model_version,
    }
    connection.execute(insert(REVIEW_CHANGES), written)

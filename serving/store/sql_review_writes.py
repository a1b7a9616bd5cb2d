"""What changes reviews, each in one transaction, with a line in their log."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    ScalarSelect,
    Select,
    and_,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from models.policy.words import SHOWN
from serving.store.desk_tables import IS_CLAIMED, IS_OPEN, IS_TO_TELL, REVIEW_CHANGES, REVIEWS, WAITS
from serving.store.reviews import (
    UNREADABLE,
    After,
    Claim,
    Escalation,
    Judgement,
    NewReview,
    Origin,
    Outcome,
    Review,
    ReviewState,
)
from serving.store.sql_catalogue import note_withheld
from serving.store.tables import NOTES, WATERMARKS

_R: Final = REVIEWS.c
_NOBODY: Final = "-"
_FREE: Final[Mapping[str, Any]] = {"state": ReviewState.OPEN, "holder": None, "lease": None, "lease_until": None}
_UNDECIDED: Final = dict.fromkeys(("decided_at", "judgement", "outcome", "verdict", "tell_at", "batch"))
_UNESCALATED: Final[Mapping[str, Any]] = {"for_lead": False, "escalated_by": None, "escalation": None}
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


def claim_first(
    connection: Connection, claim: Claim, matching: Sequence[ColumnElement[bool]], skipped_since: int | None
) -> Review | None:
    """See ``ReviewStore.claim``."""
    _lock(connection)
    _free_expired(connection, claim.at)
    if held := connection.execute(held_by(claim.reviewer_id)).one_or_none():
        return review_of(held)
    row = _first(connection, [may_have(claim), *matching], _skip_of(claim, skipped_since))
    return _change(connection, row, _held(claim), _Deed(claim.reviewer_id, "claim", claim.at)) if row else None


def _first(
    connection: Connection, possible: Sequence[ColumnElement[bool]], skip: ScalarSelect[int] | None
) -> Row[Any] | None:
    """The first review in order that was not skipped, else the one that was skipped first."""
    waiting = select(REVIEWS).where(IS_OPEN, *possible).limit(1)
    fresh = waiting if skip is None else waiting.where(skip.is_(None))
    row = connection.execute(fresh.order_by(_R.priority.desc(), _R.review_id.desc())).one_or_none()
    return row if row or skip is None else connection.execute(waiting.order_by(skip)).one_or_none()


def _skip_of(claim: Claim, since: int | None) -> ScalarSelect[int] | None:
    """When the reviewer last gave a review back, as a number that grows; NULL where they did not."""
    if since is None:
        return None
    of = REVIEW_CHANGES.c
    theirs = of.review_id == _R.review_id, of.who == claim.reviewer_id, of.what == "release", of.changed_at >= since
    return select(func.max(of.change_no)).where(*theirs).correlate(REVIEWS).scalar_subquery()


def take(connection: Connection, review_id: str, claim: Claim) -> Review | None:
    """See ``ReviewStore.take``."""
    _lock(connection)
    _free_expired(connection, claim.at)
    wanted = select(REVIEWS).where(IS_OPEN, _R.review_id == review_id, may_have(claim))
    row = connection.execute(wanted).one_or_none()
    return _change(connection, row, _held(claim), _Deed(claim.reviewer_id, "claim", claim.at)) if row else None


def held_by(reviewer_id: str) -> Select[Any]:
    """The review that a reviewer took last, of those they have."""
    of = REVIEW_CHANGES.c
    taken = select(func.max(of.change_no)).where(of.review_id == _R.review_id, of.what.in_(("claim", "undo")))
    last = taken.correlate(REVIEWS).scalar_subquery().desc()
    return select(REVIEWS).where(IS_CLAIMED, _R.holder == reviewer_id).order_by(last).limit(1)


def may_have(claim: Claim) -> ColumnElement[bool]:
    """Whether a review may be this reviewer's."""
    by_anyone = or_(_R.not_by.is_(None), _R.not_by != claim.reviewer_id)
    return by_anyone if claim.is_lead else and_(by_anyone, _R.for_lead.is_(False))


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
    if judgement.outcome is Outcome.ESCALATE and (said := _escalated(connection, review_id, claim, judgement)):
        return said
    row = _held_row(connection, review_id, claim)
    current = select(NOTES.c.revision).where(NOTES.c.note_id == row.note_id) if row else None
    if row is None or current is None or not revision == row.revision == connection.scalar(current):
        return None
    deed = _Deed(claim.reviewer_id, "decide", claim.at)
    if judgement.outcome is Outcome.ESCALATE:
        return _escalate(connection, row, claim, judgement)
    decided = {
        "state": ReviewState.DECIDED,
        "lease_until": None,
        "decided_at": claim.at,
        "judgement": written,
        "outcome": judgement.outcome,
        "verdict": judgement.verdict,
        "tell_at": after.tell_at,
        "batch": after.batch,
    }
    review = _change(connection, row, decided, deed)
    note_withheld(connection, row.note_id, withheld=judgement.verdict not in SHOWN)
    if after.second:
        _insert(connection, _second_opinion(row, after.second, claim.reviewer_id), claim.at, who=_NOBODY)
    return review


def _escalate(connection: Connection, row: Row[Any], claim: Claim, judgement: Judgement) -> Review:
    words = Escalation(claim.reviewer_id, claim.at, judgement.reason, judgement.text, claim.lease)
    written = json.dumps(words._asdict(), ensure_ascii=False)
    escalated = {**_FREE, "for_lead": True, "escalated_by": claim.reviewer_id, "escalation": written}
    deed = _Deed(claim.reviewer_id, "escalate", claim.at, {"reason": judgement.reason})
    return _change(connection, row, escalated, deed)


def _escalated(connection: Connection, review_id: str, claim: Claim, judgement: Judgement) -> Review | None:
    """The review, where the same was said with the same token before."""
    row = connection.execute(select(REVIEWS).where(_R.review_id == review_id, _R.escalation.is_not(None))).one_or_none()
    review = review_of(row) if row else None
    words = claim.reviewer_id, judgement.reason, judgement.text, claim.lease
    same = review and review.escalation and (*review.escalation[:1], *review.escalation[2:]) == words
    return review if same else None


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
    mine = select(REVIEWS).where(_R.review_id == review_id, done_by(claim.reviewer_id, since))
    row = connection.execute(mine).one_or_none()
    if row is None:
        return None
    deed = _Deed(claim.reviewer_id, "undo", claim.at)
    if row.state == ReviewState.OPEN:
        is_late = json.loads(row.escalation)["at"] < since
        return None if is_late else _change(connection, row, {**_held(claim), **_UNESCALATED}, deed)
    if row.batch is None:
        return _undecide(connection, row, _held(claim), deed)
    batch = connection.execute(select(REVIEWS).where(_R.batch == row.batch, done_by(claim.reviewer_id, since))).all()
    undone = [one for row in batch if (one := _undecide(connection, row, _FREE, deed))]
    return next(iter(undone), None)


def done_by(reviewer_id: str, since: int) -> ColumnElement[bool]:
    """Whether a reviewer decided a review at ``since`` or later, or escalated it and it still waits."""
    decided = and_(_R.holder == reviewer_id, _R.decided_at >= since)
    return or_(decided, and_(IS_OPEN, _R.escalated_by == reviewer_id))


def _undecide(connection: Connection, row: Row[Any], then: Mapping[str, Any], deed: "_Deed") -> Review | None:
    """A review as before its decision; None where something else was said of the note since."""
    waiting = _waiting(connection, row.note_id)
    if waiting is not None and (waiting.about, waiting.origin) != (row.review_id, Origin.SECOND_OPINION):
        return None
    if waiting is not None:
        connection.execute(delete(REVIEWS).where(_R.review_id == waiting.review_id))
    note_withheld(connection, row.note_id, withheld=row.decision not in SHOWN)
    return _change(connection, row, {**then, **_UNDECIDED}, deed)


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
            "escalation": Escalation(**json.loads(row.escalation)) if row.escalation else None,
        }
    )


class _Deed(NamedTuple):
    who: str
    what: str
    at: int
    words: Mapping[str, str] = MappingProxyType({})


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
        "after": json.dumps({name: after[name] for name in changed} | {**deed.words}),
        "policy_version": row.policy_version,
        "model_version": row.model_version,
    }
    connection.execute(insert(REVIEW_CHANGES), written)

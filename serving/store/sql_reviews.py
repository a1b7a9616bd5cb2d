"""Reviews in SQL, on SQLite and PostgreSQL alike: who writes takes turns, so that no two have the same review."""

import json
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, Text, and_, case, column, delete, func, or_, select, tuple_, update, values

from models.policy.words import SHOWN
from serving.store.database import Database
from serving.store.desk_tables import IS_CLAIMED, IS_OPEN, IS_TO_TELL, IS_UNTOLD, REVIEW_CHANGES, REVIEWS, WAITS
from serving.store.reviews import (
    After,
    Backlog,
    Claim,
    Judgement,
    NewReview,
    Origin,
    Outcome,
    Pair,
    Report,
    Review,
    ReviewChange,
    ReviewQuery,
    ReviewsHeld,
    ReviewState,
    Waiting,
)
from serving.store.sql_review_writes import (
    claim_first,
    decide,
    done_by,
    held_by,
    judgement_of,
    may_have,
    open_appeal,
    open_new,
    release,
    renew,
    review_of,
    take,
    take_due,
    undo,
)
from serving.store.tables import FACTS, IS_REPORT, WATERMARKS
from serving.workers import MANY_USERS

_R: Final = REVIEWS.c
_MOST_UNDONE: Final = 100
_TAKEN: Final = WATERMARKS.c.name == "reports"
_SECOND: Final = REVIEWS.alias("second")


class SqlReviews:
    """A ``ReviewStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open_many(self, new: Sequence[NewReview], *, at: int) -> None:
        """See ``ReviewStore``."""
        await self._database.write(lambda connection: open_new(connection, new, at))

    async def reports(self, *, limit: int) -> list[Report]:
        """See ``ReviewStore``."""
        taken = select(WATERMARKS.c.seq).where(_TAKEN).scalar_subquery()
        page = select(FACTS.c.seq, FACTS.c.note_id).where(IS_REPORT, FACTS.c.seq > taken).order_by(FACTS.c.seq)
        rows = await self._database.read(lambda connection: connection.execute(page.limit(limit)).all(), many=limit > 1)
        return [Report._make(row) for row in rows]

    async def oldest_report(self) -> int | None:
        """See ``ReviewStore``."""
        taken = select(WATERMARKS.c.seq).where(_TAKEN).scalar_subquery()
        first = select(FACTS.c.received_at).where(IS_REPORT, FACTS.c.seq > taken).order_by(FACTS.c.seq).limit(1)
        return await self._database.read(lambda connection: connection.scalar(first), many=False)

    async def oldest_untold(self, *, at: int) -> int | None:
        """See ``ReviewStore``."""
        first = select(func.min(_R.decided_at)).where(IS_TO_TELL, or_(_R.tell_at <= at, _R.n_told > 0))
        return await self._database.read(lambda connection: connection.scalar(first), many=False)

    async def reports_taken(self, until: int) -> None:
        """See ``ReviewStore``."""
        moving = update(WATERMARKS).where(_TAKEN, WATERMARKS.c.seq < until).values(seq=until)
        await self._database.write(lambda connection: connection.execute(moving))

    async def appeal(self, new: NewReview, text: str, *, at: int) -> Review | None:
        """See ``ReviewStore``."""
        return await self._database.write(lambda connection: open_appeal(connection, new, text, at))

    async def claim(self, claim: Claim, query: ReviewQuery) -> Review | None:
        """See ``ReviewStore``."""
        return await self._database.write(
            lambda connection: claim_first(connection, claim, [*_matching(query)], query.skipped_since)
        )

    async def take(self, review_id: str, claim: Claim) -> Review | None:
        """See ``ReviewStore``."""
        return await self._database.write(lambda connection: take(connection, review_id, claim))

    async def held_by(self, reviewer_id: str, *, at: int) -> Review | None:
        """See ``ReviewStore``."""
        mine = held_by(reviewer_id).where(_R.lease_until >= at)
        row = await self._database.read(lambda connection: connection.execute(mine).one_or_none(), many=False)
        return review_of(row) if row else None

    async def renew(self, review_id: str, claim: Claim) -> Review | None:
        """See ``ReviewStore``."""
        return await self._database.write(lambda connection: renew(connection, review_id, claim))

    async def release(self, review_id: str, claim: Claim) -> bool:
        """See ``ReviewStore``."""
        return await self._database.write(lambda connection: release(connection, review_id, claim))

    async def decide(
        self, review_id: str, claim: Claim, judgement: Judgement, *, revision: int, after: After
    ) -> Review | None:
        """See ``ReviewStore``."""
        return await self._database.write(
            lambda connection: decide(connection, review_id, claim, judgement, revision, after)
        )

    async def due(self, at: int, *, again_at: int, limit: int) -> list[tuple[Review, int]]:
        """See ``ReviewStore``."""
        return await self._database.write(lambda connection: take_due(connection, at, again_at, limit))

    async def told(self, review_id: str, *, again_at: int | None, was_taken: bool) -> None:
        """See ``ReviewStore``."""
        known = {"tell_at": again_at, "n_told": _R.n_told + (0 if was_taken else 1)}
        statement = update(REVIEWS).where(_R.review_id == review_id, _R.tell_at.is_not(None)).values(known)
        await self._database.write(lambda connection: connection.execute(statement))

    async def undo(self, review_id: str, claim: Claim, *, since: int) -> Review | None:
        """See ``ReviewStore``."""
        return await self._database.write(lambda connection: undo(connection, review_id, claim, since))

    async def last(self, reviewer_id: str, *, since: int) -> list[Review]:
        """See ``ReviewStore``."""
        of = REVIEW_CHANGES.c
        acted = of.review_id == _R.review_id, of.who == reviewer_id, of.what.in_(("decide", "escalate"))
        last = select(func.max(of.change_no)).where(*acted).correlate(REVIEWS).scalar_subquery()
        statement = select(REVIEWS).where(done_by(reviewer_id, since)).order_by(last.desc()).limit(_MOST_UNDONE)
        rows = await self._database.read(lambda connection: connection.execute(statement).all(), many=True)
        found = [
            one for one in map(review_of, rows) if one.decided_at or (one.escalation and one.escalation.at >= since)
        ]
        return [one for one in found if one.batch == found[0].batch] if found and found[0].batch else found[:1]

    async def waiting(self, claim: Claim, *, most: int) -> Waiting:
        """See ``ReviewStore``."""
        is_over = and_(IS_CLAIMED, _R.lease_until < claim.at)
        free = select(_R.review_id).where(or_(IS_OPEN, is_over), may_have(claim)).limit(most)
        count = select(func.count()).select_from(free.subquery())
        n_free = await self._database.read(lambda connection: connection.scalar(count) or 0, many=True)
        if n_free:
            return Waiting(n_free, 0, 0, 0)
        kinds = case(
            (and_(IS_CLAIMED, _R.lease_until >= claim.at), "held"),
            (_R.not_by == claim.reviewer_id, "own"),
            else_="lead",
        )
        statement = select(kinds, func.count()).where(WAITS).group_by(kinds)
        rows = await self._database.read(lambda connection: connection.execute(statement).all(), many=True)
        n = dict(map(tuple, rows))
        return Waiting(0, n.get("held", 0), n.get("lead", 0), n.get("own", 0))

    async def get(self, review_id: str) -> Review | None:
        """See ``ReviewStore``."""
        statement = select(REVIEWS).where(_R.review_id == review_id)
        row = await self._database.read(lambda connection: connection.execute(statement).one_or_none(), many=False)
        return review_of(row) if row else None

    async def page(
        self, query: ReviewQuery, *, after: tuple[float, str] | None, limit: int
    ) -> list[tuple[float, Review]]:
        """See ``ReviewStore``."""
        by = _R.decided_at if query.state is ReviewState.DECIDED else _R.priority
        conditions = [*_matching(query)]
        if query.state is not None:
            conditions.append(_R.state == query.state)
        if after:
            conditions.append(tuple_(by, _R.review_id) < after)
        statement = select(REVIEWS).where(*conditions).order_by(by.desc(), _R.review_id.desc()).limit(limit)
        rows = await self._database.read(lambda connection: connection.execute(statement).all(), many=True)
        return [(row._mapping[by], review_of(row)) for row in rows]

    async def verdicts(self, revisions: Collection[tuple[str, int]]) -> dict[str, str]:
        """See ``ReviewStore``."""
        note_ids = {note_id for note_id, _ in revisions}
        statement = select(_R.note_id, _R.revision, _R.verdict).where(
            _R.note_id.in_(note_ids), _R.state == ReviewState.DECIDED
        )
        rows = await self._database.read(
            lambda connection: connection.execute(statement.order_by(_R.decided_at)).all(), many=True
        )
        wanted = {*revisions}
        return {row.note_id: row.verdict for row in rows if (row.note_id, row.revision) in wanted}

    async def decided(self, after: tuple[int, str], *, before: int, limit: int) -> list[Review]:
        """See ``ReviewStore``."""
        place = tuple_(_R.decided_at, _R.review_id)
        statement = select(REVIEWS).where(place > after, _R.decided_at < before, _R.state == ReviewState.DECIDED)
        page = statement.order_by(*place.clauses).limit(limit)
        rows = await self._database.read(lambda connection: connection.execute(page).all(), many=True)
        return [review_of(row) for row in rows]

    async def changes(self, review_id: str) -> Sequence[ReviewChange]:
        """See ``ReviewStore``."""
        of = REVIEW_CHANGES.c
        statement = select(REVIEW_CHANGES).where(of.review_id == review_id).order_by(of.change_no)
        rows = await self._database.read(lambda connection: connection.execute(statement).all(), many=True)
        return [_change(row) for row in rows]

    async def held(self, user_id: str) -> ReviewsHeld | None:
        """See ``ReviewStore``."""
        waiting, appealed = (
            case((_R.state != ReviewState.DECIDED, 1), else_=0),
            case((_R.appeal.is_not(None), 1), else_=0),
        )
        columns = func.count(), func.sum(waiting), func.sum(appealed), func.min(_R.opened_at)
        last_at = func.max(func.coalesce(_R.decided_at, _R.opened_at))
        statement = select(*columns, last_at).where(_R.author_id == user_id)
        row = await self._database.read(lambda connection: connection.execute(statement).one(), many=True)
        return ReviewsHeld(*map(int, row)) if row[0] else None

    async def erase(self, user_id: str) -> None:
        """See ``ReviewStore``."""
        forgotten = update(REVIEWS).where(_R.author_id == user_id).values(author_id=None, appeal=None)
        await self._database.write(lambda connection: connection.execute(forgotten))
        await self._database.scrub()

    async def retire_changes(self, before: int, *, limit: int) -> int:
        """See ``ReviewStore``."""
        of = REVIEW_CHANGES.c
        some = select(of.change_no).where(of.changed_at < before).order_by(of.change_no).limit(limit)
        statement = delete(REVIEW_CHANGES).where(of.change_no.in_(some))
        return await self._database.write(lambda connection: connection.execute(statement).rowcount)

    async def reporters(self, note_id: str, *, before: int) -> list[str]:
        """See ``ReviewStore``."""
        f = FACTS.c
        statement = select(f.user_id).where(IS_REPORT, f.note_id == note_id, f.received_at < before).distinct()
        return await self._database.read(
            lambda connection: [*connection.scalars(statement.order_by(f.user_id))], many=True
        )

    async def reach(self, note_ids: Collection[str], *, most: int) -> dict[str, int]:
        """See ``ReviewStore``."""
        asked = values(column("note_id", Text)).data([(one,) for one in note_ids]).cte("asked")
        users = select(FACTS.c.user_id).where(FACTS.c.note_id == asked.c.note_id).distinct().limit(most)
        n_users = select(func.count()).select_from(users.correlate(asked).subquery()).scalar_subquery()
        statement = select(asked.c.note_id, n_users)
        rows = await self._database.read(lambda there: there.execute(statement).all(), many=len(note_ids) >= MANY_USERS)
        return dict(map(tuple, rows))

    async def n_reports(self, note_ids: Collection[str]) -> dict[str, int]:
        """See ``ReviewStore``."""
        f = FACTS.c
        n_users = func.count(f.user_id.distinct())
        statement = select(f.note_id, n_users).where(IS_REPORT, f.note_id.in_(note_ids)).group_by(f.note_id)
        rows = await self._database.read(lambda there: there.execute(statement).all(), many=len(note_ids) >= MANY_USERS)
        return dict(map(tuple, rows))

    async def credibility(self, author_ids: Collection[str]) -> dict[str, float]:
        """See ``ReviewStore``."""
        sound = func.avg(case((_R.verdict.in_(SHOWN), 1.0), else_=0.0))
        decided = _R.author_id.in_(author_ids), _R.state == ReviewState.DECIDED
        statement = select(_R.author_id, sound).where(*decided).group_by(_R.author_id)
        many = len(author_ids) >= MANY_USERS
        rows = await self._database.read(lambda there: there.execute(statement).all(), many=many)
        return {author_id: float(share) for author_id, share in rows}

    async def backlog(self) -> list[Backlog]:
        """See ``ReviewStore``."""
        columns = _R.origin, func.count(), func.min(_R.opened_at)
        statement = select(*columns).where(_R.state != ReviewState.DECIDED).group_by(_R.origin).order_by(_R.origin)
        rows = await self._database.read(lambda connection: connection.execute(statement).all(), many=True)
        return [Backlog(Origin(origin), n, oldest) for origin, n, oldest in rows]

    async def n_decided(self, *, since: int, before: int) -> dict[tuple[str, Outcome], int]:
        """See ``ReviewStore``."""
        statement = (
            select(_R.holder, _R.outcome, func.count())
            .where(_R.decided_at >= since, _R.decided_at < before, _R.state == ReviewState.DECIDED)
            .group_by(_R.holder, _R.outcome)
        )
        rows = await self._database.read(lambda connection: connection.execute(statement).all(), many=True)
        return {(holder, Outcome(outcome)): n for holder, outcome, n in rows}

    async def pairs(self, *, since: int, before: int) -> list[Pair]:
        """See ``ReviewStore``."""
        second = _SECOND.c
        statement = (
            select(_R.judgement, second.judgement)
            .join_from(REVIEWS, _SECOND, second.about == _R.review_id)
            .where(
                _R.state == ReviewState.DECIDED,
                second.origin == Origin.SECOND_OPINION,
                second.state == ReviewState.DECIDED,
                second.decided_at >= since,
                second.decided_at < before,
            )
        )
        rows = await self._database.read(lambda connection: connection.execute(statement).all(), many=True)
        return [Pair(judgement_of(first), judgement_of(other)) for first, other in rows]


def _matching(query: ReviewQuery) -> Iterator[ColumnElement[bool]]:
    """Everything that is asked but the state."""
    for name in ("origin", "label", "category", "tier", "author_id"):
        if (value := getattr(query, name)) is not None:
            yield _R[name] == value
    if query.opened_before is not None:
        yield _R.opened_at < query.opened_before
    if query.decided_by is not None:
        yield _R.holder == query.decided_by
    if query.but_not is not None:
        yield _R.review_id != query.but_not
    if query.untold:
        yield and_(IS_UNTOLD)


def _change(row: Row[Any]) -> ReviewChange:
    change = ReviewChange._make(row)
    return change._replace(before=json.loads(row.before), after=json.loads(row.after))

"""What a user should see next: the champion's feed from the user's own history, or one that reads nothing of them."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple
from uuid import uuid4

import numpy as np

from features.wording import Text
from models.recommend.because import because
from models.recommend.catalogue import Catalogue
from models.recommend.feed import FRESH, SUPPORTED, FeedNote, FeedRules, Wanted, make_feed
from models.recommend.histories import Histories
from models.recommend.scorer import POPULAR, RecommendScorer
from models.recommend.similar import Similar, similar_notes
from serving.catalogue import Catalogues
from serving.errors import NoModelError, NotFoundError, StoreError
from serving.instants import Clock, instant_of
from serving.metrics import Metrics
from serving.policies.live import Policies
from serving.recommendation_log import RecommendationWriter
from serving.recommender import Recommender
from serving.session_token import Session
from serving.slots import LiveModel
from serving.store.journal import Hide, Journal, NoteEvent, Wishes
from serving.store.notes import NoteStore
from serving.store.recommendations import Recommendation
from serving.workers import MANY_USERS, Workers

HISTORY: Final = 1_000
"""Of a user's events on notes, how many are read: the last that became known."""

EXPLOIT: Final = "exploit"
EXPLORE: Final = "explore"
NOT_TAKEN_UP: Final = ("impression", "publish", "report", "hide")
"""Events that do not say that a user took a note up."""

_FALLBACK_SOURCES: Final = (POPULAR, FRESH, SUPPORTED)


class Asked(NamedTuple):
    """A request for a feed; ``as_of`` is None for now."""

    user_id: str
    limit: int
    scene: str
    context_note_id: str | None
    category: str | None
    exclude: Sequence[str]
    session: Session | None
    as_of: int | None


class Shown(NamedTuple):
    """A note in an answer; ``because`` is the history's note that speaks most for it and what the user did with it.

    ``fallback_reason`` says why a note that the model did not choose for this user is there.
    """

    note_id: str
    note: FeedNote
    because: NoteEvent | None
    because_title: str | None
    fallback_reason: str | None


@dataclass(frozen=True, slots=True)
class FeedAnswer:
    """A feed, with the session that goes on from it."""

    model: LiveModel[Recommender]
    policy_version: str
    as_of: int
    recommendation_id: str
    arm: str
    session: Session
    shown: Sequence[Shown]
    degraded: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Known:
    """What is read of a user: whether they want personal feeds, what they did with notes, and what they hid."""

    is_personal: bool
    events: Sequence[NoteEvent] = ()
    hides: Sequence[Hide] = ()
    is_degraded: bool = False


class Recommending:
    """Makes feeds."""

    def __init__(
        self,
        catalogues: Catalogues,
        journal: Journal,
        notes: NoteStore,
        log: RecommendationWriter,
        policies: Policies,
        workers: Workers,
        *,
        rules: FeedRules,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._catalogues = catalogues
        self._journal = journal
        self._notes = notes
        self._log = log
        self._policies = policies
        self._workers = workers
        self._rules = rules
        self._metrics = metrics
        self._clock = clock

    async def recommend(self, asked: Asked, *, on_record: bool = True) -> FeedAnswer:
        """A feed for a user as of now, or as it would have been at ``as_of``; it is put on record, but for one that
        the user is not shown, as no past one is, which does not look beyond the order either, and one that may not be
        personal.

        NoModelError while no champion is live; InvalidError for an instant that has not come.
        """
        live = self._catalogues.live
        if live is None:
            raise NoModelError("no recommender has been released to this server")
        now, on_record = instant_of(asked.as_of, now=self._clock()), on_record and asked.as_of is None
        session = asked.session or Session(now)
        known = await self._known(asked)
        history = self._history(known, session.as_of)
        recommendation_id = uuid4().hex
        chance = random.Random(recommendation_id)
        arm = EXPLORE if on_record and chance.random() < self._rules.explore_share else EXPLOIT
        scorer, rules = live.model.scorer.scorer, self._rules

        def made() -> list[FeedNote]:  # also what is asked: of many hides it takes milliseconds
            explore = chance if arm == EXPLORE else None
            wanted = _wanted(live.catalogue, asked, known, history, session, now, explore)
            return make_feed(scorer, live.catalogue, wanted, rules)

        feed = await self._workers.run(MANY_USERS, made)
        shown = await self._shown(scorer, live.catalogue, feed, known, history)
        if on_record and known.is_personal:  # else an event that names the feed would say whose it was
            self._record(live.model, asked, recommendation_id, arm, now, shown)
        note_ids = tuple(one.note_id for one in shown)
        degraded = ["journal"] if known.is_degraded else []
        policy = self._policies.active.policy.version
        return FeedAnswer(live.model, policy, now, recommendation_id, arm, session.after(note_ids), shown, degraded)

    def similar(self, note_id: str, *, limit: int) -> list[tuple[str, Similar]]:
        """Notes like a note, by id; NotFoundError for one that neither the model nor the store knows."""
        live = self._catalogues.live
        if live is None:
            raise NoModelError("no recommender has been released to this server")
        number = live.catalogue.number(note_id)
        if number is None:
            raise NotFoundError("neither the recommender nor the store knows this note")
        scorer, min_quality = live.model.scorer.scorer, self._rules.min_quality
        found = similar_notes(scorer, live.catalogue, number, n=limit, min_quality=min_quality)
        return [(live.catalogue.note_id(one.number), one) for one in found]

    async def _known(self, asked: Asked) -> _Known:
        """What may be read of the user; nothing but what they hid of one who wants no personal feeds."""
        try:
            wishes = await self._journal.wishes(asked.user_id)
            hides = await self._journal.hides(asked.user_id, before=asked.as_of)
            if wishes.personalisation_opt_out:
                return _Known(is_personal=False, hides=hides)
            events = await self._journal.note_events(asked.user_id, before=asked.as_of, limit=HISTORY)
            return _Known(True, await self._wished_for(events, wishes), hides)
        except StoreError:
            return _Known(is_personal=False, is_degraded=True)

    async def _wished_for(self, events: Sequence[NoteEvent], wishes: Wishes) -> list[NoteEvent]:
        """The events, but impressions in place of what was done before an interest in the note's kind was deleted."""
        deleted = wishes.deleted_interests
        if not deleted:
            return list(events)
        stored = await self._notes.get_many({one.note_id for one in events})
        tags = {note_id: {one.note.category, *one.note.topics} for note_id, one in stored.items()}
        return [
            one._replace(event="impression")
            if any(one.occurred_at < deleted.get(tag or "", 0) for tag in tags.get(one.note_id, ()))
            else one
            for one in events
        ]

    def _history(self, known: _Known, as_of: int) -> dict[str, NoteEvent]:
        """The notes that the user took up before an instant, the last taken up last, and what they did with each."""
        history: dict[str, NoteEvent] = {}
        for one in known.events:
            if one.event not in NOT_TAKEN_UP and one.occurred_at < as_of:
                history.pop(one.note_id, None)
                history[one.note_id] = one
        return history

    async def _shown(
        self,
        scorer: RecommendScorer,
        catalogue: Catalogue,
        feed: Sequence[FeedNote],
        known: _Known,
        history: Mapping[str, NoteEvent],
    ) -> list[Shown]:
        numbers = Histories.of([catalogue.numbers([*history])])
        reasons = because(scorer, catalogue, numbers, feed)
        events = [None if number is None else history.get(catalogue.note_id(number)) for number in reasons]
        titles = await self._titles({one.note_id for one in events if one})
        fallback = _fallback(known, history, numbers)
        return [
            Shown(
                catalogue.note_id(one.number),
                one,
                event,
                titles.get(event.note_id) if event else None,
                fallback if one.source in _FALLBACK_SOURCES else None,
            )
            for one, event in zip(feed, events, strict=True)
        ]

    async def _titles(self, note_ids: set[str]) -> dict[str, str]:
        try:
            stored = await self._notes.get_many(note_ids) if note_ids else {}
        except StoreError:
            return {}
        return {note_id: one.note.title for note_id, one in stored.items() if one.note.title}

    def _record(
        self,
        model: LiveModel[Recommender],
        asked: Asked,
        recommendation_id: str,
        arm: str,
        now: int,
        shown: Sequence[Shown],
    ) -> None:
        version, digest = model.pointer.version, model.pointer.digest
        self._log.add(
            [
                Recommendation(
                    recommendation_id, place, now, asked.user_id, one.note_id, one.note.source, arm, asked.scene,
                    one.note.propensity, version, digest,
                )
                for place, one in enumerate(shown)
            ]
        )  # fmt: skip
        for source, n in Counter(one.note.source for one in shown).items():
            self._metrics.recommended.labels(model.model, version, source, arm).inc(n)


def _wanted(
    catalogue: Catalogue,
    asked: Asked,
    known: _Known,
    history: Mapping[str, NoteEvent],
    session: Session,
    now: int,
    chance: random.Random | None,
) -> Wanted:
    seen = (one.note_id for one in known.events)
    hidden = (one.note_id for one in known.hides if one.note_id)
    authors = [one.author_id for one in known.hides if one.author_id]
    if known.is_personal:
        authors.append(asked.user_id)  # nobody is recommended their own notes
    return Wanted(
        n=asked.limit,
        now=now,
        history=catalogue.numbers([*history]),
        not_again=catalogue.numbers([*seen, *hidden, *asked.exclude, *session.shown]),
        hidden_authors=[code for one in authors if (code := catalogue.author_code(one)) >= 0],
        context=None if asked.context_note_id is None else catalogue.number(asked.context_note_id),
        category=None if asked.category is None else catalogue.category_code(asked.category),
        n_shown=session.n_shown,
        recent=catalogue.numbers(session.shown[-50:]),
        explore=None if chance is None else np.random.default_rng(chance.getrandbits(64)),
    )


def _fallback(known: _Known, history: Mapping[str, NoteEvent], numbers: Histories) -> str:
    """Why notes are there that the model did not choose for the user."""
    if not known.is_personal:
        return "history_unavailable" if known.is_degraded else "personalisation_off"
    if not history:
        return "no_history"
    return "too_few" if len(numbers.notes) else "unknown_history"


def reason_of(shown: Shown, context_note_id: str | None) -> tuple[str, Text]:
    """Why a note is shown: a stable code, and the words."""
    if shown.note.source in _GENERAL:
        return _GENERAL[shown.note.source]
    if shown.because is None:
        return ("like_this_note", _LIKE_THIS) if context_note_id else ("for_you", _FOR_YOU)
    zh, en = _DID.get(shown.because.event, _DID["click"])
    if shown.because_title is None:
        return "because_of_a_note", Text(f"因为你{zh}一篇相似的笔记", f"Because you {en} a note like it")
    title = shown.because_title
    return "because_of_a_note", Text(f"因为你{zh}《{title}》", f"Because you {en} “{title}”")


_LIKE_THIS: Final = Text("与你正在看的笔记相似", "Like the note you are looking at")
_FOR_YOU: Final = Text("猜你喜欢", "You may like it")
_GENERAL: Final = {
    POPULAR: ("popular", Text("大家都在看", "Many people read it")),
    FRESH: ("fresh", Text("新发布的笔记", "Published lately")),
    SUPPORTED: ("new_author", Text("新作者或 KOC 的新笔记", "New, by a new author or a key opinion consumer")),
}
_DID: Final = {
    "click": ("看过", "looked at"),
    "read": ("读过", "read"),
    "like": ("赞过", "liked"),
    "collect": ("收藏了", "collected"),
    "comment": ("评论过", "commented on"),
    "share": ("分享过", "shared"),
    "purchase": ("购买过", "bought from"),
}

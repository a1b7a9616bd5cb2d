"""A block of the community lives through the log: day by day, all people of the block at once.

A block sees its own notes and those of a few earlier blocks, never of later ones: so a block's people
do the same whatever comes after, and a community of any size is made as a stream.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np

from training.sample import events as happenings
from training.sample import leaving
from training.sample.arrays import Bools, Floats, Ints, mean_by_group
from training.sample.clock import DAY_MS, weekday_factor
from training.sample.events import Events, Sessions, Views, join_events
from training.sample.feed import Feed
from training.sample.leaving import Departures, Standing
from training.sample.notes import Notes, draft_notes, join_notes
from training.sample.phrases import Phrasebook
from training.sample.population import BURN_IN_DAYS, OLD_DAYS, People, draw_people

N_FIRST_NOTES = 200
N_EARLIER_BLOCKS = 3  # whose notes a block's people are shown beside their own
FORECAST_EVERY_DAYS = 10
FORECAST_HORIZON_DAYS = 30


@dataclass(frozen=True)
class Forecast:
    """The hidden causes of churn as ``day`` begins, for everyone registered before it."""

    day: int
    person: Ints
    here: Bools
    session_rate: Floats
    leave_hazard: Floats
    churn_probability: Floats  # of no session within FORECAST_HORIZON_DAYS


@dataclass(frozen=True)
class Block:
    """All that happened to the people of one block; ``events`` are in time order."""

    people: People
    notes: Notes  # written by these people, in the order of their numbers
    events: Events
    departures: tuple[Departures, ...]
    forecasts: tuple[Forecast, ...]
    standing: Standing
    next_session: int


@dataclass
class _Life:
    """A block in the middle of its log."""

    people: People
    feed: Feed
    standing: Standing
    interests: Floats
    next_session: int


def live_blocks(
    seed: int, book: Phrasebook, *, n_users: int, block_users: int, start: date, n_days: int
) -> Iterator[Block]:
    """The blocks of a community, one after the other; each draws from (seed, its index) and sees earlier notes only."""
    earlier: list[Notes] = []
    next_note = next_session = 0
    for index, first in enumerate(range(0, n_users, block_users)):
        rng = np.random.default_rng([seed, index])
        n_people = min(block_users, n_users - first)
        people = draw_people(rng, book, first_number=first, n_people=n_people, n_days=n_days)
        found = join_notes(earlier) if earlier else _first_notes(rng, people)
        feed = Feed(found, interests=people.interests)
        life = _Life(people, feed, leaving.newcomers(people), people.interests.copy(), next_session)
        block = _live(rng, life, first_note=next_note, start=start, n_days=n_days)
        yield block
        earlier = [*earlier, block.notes][-N_EARLIER_BLOCKS:]
        next_note, next_session = next_note + len(block.notes.number), block.next_session


def _live(rng: np.random.Generator, life: _Life, *, first_note: int, start: date, n_days: int) -> Block:
    days, departures, forecasts = [], [], []
    for day in range(-BURN_IN_DAYS, n_days):
        if day >= 0 and day % FORECAST_EVERY_DAYS == 0:
            forecasts.append(_forecast(life, day))
        today = _live_day(rng, life, day=day, busy=weekday_factor(start, day))
        if day >= 0:
            days.append(today)
        departures.append(leaving.depart(rng, life.people, life.standing, day))
    events = join_events(days)
    return Block(
        people=life.people,
        notes=life.feed.notes.take(np.flatnonzero(life.feed.notes.number >= first_note)),
        events=events.take(np.argsort(events.at_ms, kind="stable")),
        departures=tuple(departures),
        forecasts=tuple(forecasts),
        standing=life.standing,
        next_session=life.next_session,
    )


def _first_notes(rng: np.random.Generator, people: People) -> Notes:
    """What the community's first people find: notes by old members, in time order."""
    willing = people.publish_share * (people.registered_ms < -OLD_DAYS[0] * DAY_MS)  # never all 0: see draw_people
    authors = rng.choice(len(people), size=N_FIRST_NOTES, p=willing / willing.sum())
    published_ms = np.sort(rng.integers(-OLD_DAYS[0] * DAY_MS, -BURN_IN_DAYS * DAY_MS, N_FIRST_NOTES))
    return draft_notes(rng, people, authors=authors, published_ms=published_ms, first_number=0)


def _live_day(rng: np.random.Generator, life: _Life, *, day: int, busy: float) -> Events:
    """One day of everyone: its events, with moods, interests and feed moved on."""
    people, standing = life.people, life.standing
    changed = people.life_change_day == day
    life.interests[changed] = people.next_interests[changed]
    life.feed.open_day(day, interests=life.interests)
    sessions = _sessions(rng, life, day=day, busy=busy)
    views = happenings.show_notes(
        rng, life.feed, people, sessions=sessions, interests=life.interests, mood=standing.mood
    )
    acts = happenings.act(rng, people, views, mood=standing.mood)
    in_project = leaving.in_project(people, day)
    events = happenings.as_events(rng, sessions, views, acts, in_project=in_project)
    events = join_events([events, _publish(rng, life, sessions, events, day)])
    events = events.take(events.at_ms < (day + 1) * DAY_MS)  # at midnight people put the phone down
    life.feed.follow(views.person[acts["follow"]], views.note.author[acts["follow"]])
    felt = mean_by_group(
        views.person, happenings.experience(views), n_groups=len(people), empty=leaving.NEUTRAL_EXPERIENCE
    )
    leaving.live_on(rng, standing, base_mood=people.base_mood, experience=felt, applause=_applause(people, views, acts))
    return events


def _sessions(rng: np.random.Generator, life: _Life, *, day: int, busy: float) -> Sessions:
    """Today's sessions: who registers today has exactly one, who returns today at least one."""
    back = leaving.welcome_back(life.people, life.standing, day)
    n_sessions = np.maximum(rng.poisson(busy * leaving.session_rates(life.people, life.standing, day)), back)
    n_sessions[life.people.registered_ms // DAY_MS == day] = 1
    sessions = happenings.hold_sessions(
        rng, life.people, n_sessions=n_sessions, day=day, first_number=life.next_session
    )
    life.next_session += len(sessions.person)
    return sessions


def _publish(rng: np.random.Generator, life: _Life, sessions: Sessions, events: Events, day: int) -> Events:
    """Notes written at the end of sessions, taken into the feed, and their events."""
    ends_ms = sessions.start_ms.copy()
    np.maximum.at(ends_ms, events.session - (life.next_session - len(ends_ms)), events.at_ms)
    at_ms = ends_ms + 60_000 + rng.integers(0, 600_000, len(ends_ms))
    writes = rng.random(len(ends_ms)) < life.people.publish_share[sessions.person]
    rows = np.flatnonzero(writes & (at_ms < (day + 1) * DAY_MS))
    rows = rows[np.argsort(at_ms[rows], kind="stable")]
    first_number = int(life.feed.notes.number[-1]) + 1
    notes = draft_notes(
        rng, life.people, authors=sessions.person[rows], published_ms=at_ms[rows], first_number=first_number
    )
    life.feed.add(notes)
    return happenings.publications(sessions, rows=rows, notes=notes)


def _applause(people: People, views: Views, acts: dict[str, Bools]) -> Ints:
    """Likes, collects and follows that each person's notes earned today from people of the same block."""
    earned = acts["like"].astype(np.int64) + acts["collect"] + acts["follow"]
    author = views.note.author - people.number[0]
    ours = (author >= 0) & (earned > 0)
    return np.bincount(author[ours], weights=earned[ours], minlength=len(people)).astype(np.int64)


def _forecast(life: _Life, day: int) -> Forecast:
    people, standing = life.people, life.standing
    person = np.flatnonzero(people.registered_ms < day * DAY_MS)
    here = leaving.present(people, standing, day)[person]
    hazard = leaving.leave_hazards(people, standing, day)[person]
    rate = leaving.session_rates(people, standing, day)[person]
    staying = leaving.churn_probability(hazard, np.maximum(rate, 1e-9), horizon_days=FORECAST_HORIZON_DAYS)
    back = standing.back_day[person] < day + FORECAST_HORIZON_DAYS
    return Forecast(day, person, here, rate, hazard, np.where(here, staying, np.where(back, 0.0, 1.0)))

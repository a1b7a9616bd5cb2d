"""One day of a block: sessions, the notes shown in them, what people do, as flat event columns."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from training.sample.arrays import Bools, Floats, Ints, logistic, rank_in_group
from training.sample.clock import DAY_MS, times_of_day
from training.sample.feed import Feed
from training.sample.notes import HARMS, Notes
from training.sample.population import People

KINDS = (
    "open", "impression", "click", "read", "like", "collect", "comment", "share", "follow", "search", "publish",
    "purchase", "report", "hide",
)  # fmt: skip
KIND = {name: code for code, name in enumerate(KINDS)}
NONE = -1  # no note, no target
SEARCH_SHARE, PROJECT_SEARCH_SHARE = 0.10, 0.40  # of sessions


@dataclass(frozen=True)
class Sessions:
    """One row a session, a person's sessions side by side and in time order."""

    number: Ints
    person: Ints  # row of the block
    start_ms: Ints


@dataclass(frozen=True)
class Views:
    """One row a note shown, in the order of sessions and of showing."""

    session: Ints  # row of the sessions
    person: Ints
    note: Notes  # one row a view
    fit: Floats  # of the note's topic with the person's true interests, about -0.8..1
    shown_ms: Ints
    clicked: Bools
    read_ms: Ints  # 0 where not clicked


@dataclass(frozen=True)
class Events:
    """Parallel columns; NONE and NaN stand for null."""

    kind: Ints
    person: Ints
    session: Ints  # number
    note: Ints  # number
    target: Ints  # number of a user
    at_ms: Ints
    value: Floats

    def take(self, rows: Ints | Bools | slice) -> "Events":
        return Events(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


def join_events(parts: Sequence[Events]) -> Events:
    """The rows of ``parts``, in order."""
    return Events(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Events)})


def hold_sessions(
    rng: np.random.Generator, people: People, *, n_sessions: Ints, day: int, first_number: int
) -> Sessions:
    """``n_sessions`` of each person on ``day``; someone's first session begins as they register."""
    person = np.repeat(np.arange(len(people)), n_sessions)
    start_ms = day * DAY_MS + times_of_day(rng, people.late_ms[person])
    start_ms = np.maximum(start_ms, people.registered_ms[person])
    order = np.lexsort((start_ms, person))
    return Sessions(first_number + np.arange(len(person)), person, start_ms[order])


def show_notes(
    rng: np.random.Generator, feed: Feed, people: People, *, sessions: Sessions, interests: Floats, mood: Floats
) -> Views:
    """Fill the sessions with notes and decide which are opened and for how long."""
    session = np.repeat(np.arange(len(sessions.person)), 1 + rng.poisson(people.n_shown[sessions.person]))
    row = feed.choose(rng, sessions.person[session])
    own = people.number[sessions.person[session]] == feed.notes.author[row]
    session, row = session[(row >= 0) & ~own], row[(row >= 0) & ~own]
    person, note = sessions.person[session], feed.notes.take(row)
    feed.remember(person, row)
    fit = fits(interests, person, note.topic)
    clicked = rng.random(len(row)) < logistic(-0.9 + 1.2 * fit + 0.9 * note.appeal + 0.15 * mood[person])
    read_ms = np.where(clicked, _read_ms(rng, people, person=person, note=note, fit=fit, mood=mood), 0)
    shown_ms = sessions.start_ms[session] + _offsets(rng, session, read_ms)
    return Views(session, person, note, fit, shown_ms, clicked, read_ms)


def fits(interests: Floats, person: Ints, topic: Ints) -> Floats:
    """How well topics fit people: log interest against a mean topic's, from -0.8 to 1."""
    return np.asarray(np.clip(np.log(interests[person, topic] * interests.shape[1] + 1e-9), -2.0, 2.5) / 2.5)


def act(rng: np.random.Generator, people: People, views: Views, *, mood: Floats) -> dict[str, Bools]:
    """Which views led to which acts beyond the click."""
    note, fit, feel = views.note, views.fit, mood[views.person]
    worth, social = note.quality - 0.5, people.sociability[views.person]
    harm = {name: note.harms[:, column] for column, name in enumerate(HARMS)}
    logits = {
        "like": -1.9 + 1.6 * worth + 0.7 * fit + 0.75 * feel + social,
        "collect": -2.4 + 3.2 * worth + 0.6 * fit + 0.85 * feel + social,
        "comment": -3.5 + 0.5 * fit + 0.7 * feel + social + 1.2 * harm["abuse"],
        "share": -3.9 + 1.5 * worth + 0.5 * feel + social,
        "follow": -3.6 + 2.0 * worth + 0.8 * fit + 0.5 * feel,
        "report": -6.0 + 3.6 * harm["spam"] + 3.4 * harm["abuse"] + 1.0 * harm["clickbait"],
        "hide": -4.3 - 1.2 * fit - 0.5 * feel + 1.6 * harm["clickbait"] + 1.2 * harm["low_information"] - 1.0 * worth,
    }
    acts = {name: views.clicked & (rng.random(len(fit)) < logistic(logit)) for name, logit in logits.items()}
    buys = people.spend[views.person] * (1.0 + note.quality) * (fit > 0)
    acts["purchase"] = views.clicked & (rng.random(len(fit)) < buys)
    return acts


def experience(views: Views) -> Floats:
    """How good each view felt: taste counts for what is shown, quality and honesty for what is opened."""
    let_down = views.note.harms @ np.array([0.6, 0.7, 0.3, 0.9])
    return np.asarray(0.45 * views.fit + views.clicked * (1.6 * (views.note.quality - 0.5) - let_down))


def as_events(
    rng: np.random.Generator, sessions: Sessions, views: Views, acts: dict[str, Bools], *, in_project: Bools
) -> Events:
    """The columns of a day's opens, searches, impressions, clicks, reads and acts."""
    search_share = np.where(in_project, PROJECT_SEARCH_SHARE, SEARCH_SHARE)[sessions.person]
    searches = np.flatnonzero(rng.random(len(sessions.person)) < search_share)
    opened = np.flatnonzero(views.clicked)
    done_ms = views.shown_ms + 1_500 + views.read_ms
    parts = [
        _of_sessions("open", sessions, np.arange(len(sessions.person)), sessions.start_ms),
        _of_sessions("search", sessions, searches, sessions.start_ms[searches] + 1_200),
        _of_views("impression", sessions, views, np.arange(len(views.person)), views.shown_ms),
        _of_views("click", sessions, views, opened, views.shown_ms + 1_500),
        _of_views("read", sessions, views, opened, done_ms, value=views.read_ms / 1_000),
    ]
    for order, (name, mask) in enumerate(acts.items(), 1):
        value = np.round(rng.lognormal(4.2, 0.8, len(mask)), 2) if name == "purchase" else None
        parts.append(_of_views(name, sessions, views, np.flatnonzero(mask), done_ms + 400 * order, value=value))
    return join_events(parts)


def publications(sessions: Sessions, *, rows: Ints, notes: Notes) -> Events:
    """The events of ``notes`` published at the end of the sessions ``rows``, one each."""
    columns = _of_sessions("publish", sessions, rows, notes.published_ms)
    return Events(**{**vars(columns), "note": notes.number})


def _read_ms(rng: np.random.Generator, people: People, *, person: Ints, note: Notes, fit: Floats, mood: Floats) -> Ints:
    log_s = 2.8 + 1.0 * (note.quality - 0.5) + 0.35 * fit + 0.5 * mood[person] + people.patience[person]
    log_s += 0.5 * rng.standard_normal(len(person)) - note.harms @ np.array([0.3, 0.5, 0.8, 0.2])
    return (np.exp(np.clip(log_s, 0.0, 6.4)) * 1_000).astype(np.int64)


def _offsets(rng: np.random.Generator, session: Ints, read_ms: Ints) -> Ints:
    """Milliseconds from the session's start to each view: earlier views' browsing and reading come first."""
    spent = 2_500 + rng.exponential(3_500.0, len(session)).astype(np.int64)
    stay = np.where(read_ms > 0, read_ms + 5_000, 0)
    shown = np.cumsum(spent + stay) - stay
    first = np.arange(len(session)) - rank_in_group(session)
    return np.asarray(shown - (shown - spent)[first])


def _of_sessions(kind: str, sessions: Sessions, rows: Ints, at_ms: Ints) -> Events:
    code, none, value = np.full(len(rows), KIND[kind]), np.full(len(rows), NONE), np.full(len(rows), np.nan)
    return Events(code, sessions.person[rows], sessions.number[rows], none, none, at_ms, value)


def _of_views(
    kind: str, sessions: Sessions, views: Views, rows: Ints, at_ms: Ints, value: Floats | None = None
) -> Events:
    """Events of the views ``rows``; ``at_ms`` and ``value`` have an entry for every view."""
    columns = _of_sessions(kind, sessions, views.session[rows], at_ms[rows])
    target = views.note.author[rows] if kind in ("follow", "comment") else columns.target
    values = columns.value if value is None else value[rows]
    return Events(**{**vars(columns), "note": views.note.number[rows], "target": target, "value": values})

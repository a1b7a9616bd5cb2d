"""The people of the sample community: who they are and what drives them, all hidden from models."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.sample.arrays import Bools, Floats, Ints
from training.sample.clock import DAY_MS, HOUR_MS
from training.sample.phrases import Phrasebook

TIERS = ("ordinary", "active", "koc", "head_creator")
TIER_SHARES = (0.72, 0.225, 0.045, 0.01)
SESSION_RATE = np.array([0.10, 0.17, 0.25, 0.35])  # median sessions a day, by tier
PUBLISH_SHARE = np.array([0.015, 0.12, 0.38, 0.55])  # of sessions that end in a note, by tier
FOLLOWERS = np.array([8.0, 60.0, 2_500.0, 60_000.0])  # median, by tier

HABITS = ("genuine", "diverter", "baiter", "idler", "hostile")  # what an author tends to write
HABIT_SHARES = (0.73, 0.08, 0.08, 0.06, 0.05)

BURN_IN_DAYS = 60  # lived before the log and not written: moods, leavers and notes settle first
OLD_SHARE = 0.25  # registered long before the burn-in; the others arrive evenly, day by day
OLD_DAYS = (100, 400)
PROJECT_SHARE = 0.3  # people who came for a wedding, a flat, a baby, a trip: a purpose that ends
PROJECT_DAYS = (20, 100)  # from registration (old members: from the burn-in) to that end
LIFE_CHANGE_SHARE = 0.3  # people whose interests change for good
NEVER = 10**6  # a day that does not come


@dataclass(frozen=True)
class People:
    """One row a person of one block; days and milliseconds count from the log's start."""

    number: Ints
    registered_ms: Ints
    tier: Ints
    session_rate: Floats  # sessions a day in a neutral mood
    n_shown: Floats  # notes shown in a session, mean
    patience: Floats  # personal reading depth, log seconds
    sociability: Floats  # personal liking, collecting, commenting, logits
    base_mood: Floats  # where mood returns to
    spend: Floats  # chance of a purchase after a read note that fits
    late_ms: Ints  # how much later than most this person's day runs
    publish_share: Floats
    skill: Floats  # quality of what this person writes, logits
    habit: Ints
    interests: Floats  # (n_people, n_topics), rows sum to 1
    next_interests: Floats  # from life_change_day on
    life_change_day: Ints
    project_end_day: Ints  # NEVER for who came without a project
    n_followers: Ints
    personalisation_opt_out: Bools
    is_minor: Bools

    def __len__(self) -> int:
        return len(self.number)


def draw_people(rng: np.random.Generator, book: Phrasebook, *, first_number: int, n_people: int, n_days: int) -> People:
    """``n_people`` people numbered from ``first_number``, some of them old members, some yet to come."""
    tier = rng.choice(len(TIERS), size=n_people, p=TIER_SHARES)
    registered_ms = _registrations(rng, n_people, n_days)
    publish_share = PUBLISH_SHARE[tier] * rng.gamma(0.7, 1 / 0.7, n_people)
    registered_ms[0], publish_share[0] = -200 * DAY_MS, 0.3  # an old member who writes: no block is without notes
    is_minor = rng.random(n_people) < 0.04
    changes = rng.random(n_people) < LIFE_CHANGE_SHARE
    followers = FOLLOWERS[tier] * rng.lognormal(0.0, 0.8, n_people) * np.where(registered_ms < 0, 1.0, 0.02)
    return People(
        number=first_number + np.arange(n_people),
        registered_ms=registered_ms,
        tier=tier,
        session_rate=np.clip(SESSION_RATE[tier] * rng.lognormal(0.0, 0.45, n_people), 0.01, 4.0),
        n_shown=rng.gamma(4.0, 2.2, n_people),
        patience=0.25 * rng.standard_normal(n_people),
        sociability=0.35 * rng.standard_normal(n_people),
        base_mood=0.5 * rng.standard_normal(n_people) + 0.15 * tier,
        spend=np.where(is_minor, 0.0, 0.05 * rng.gamma(0.4, 1 / 0.4, n_people)).clip(0.0, 0.5),
        late_ms=(rng.normal(0.0, 1.2, n_people) * HOUR_MS).astype(np.int64),
        publish_share=publish_share.clip(0.0, 0.6),
        skill=0.7 * rng.standard_normal(n_people) + 0.25 * tier,
        habit=rng.choice(len(HABITS), size=n_people, p=HABIT_SHARES),
        interests=_interests(rng, book, n_people),
        next_interests=_interests(rng, book, n_people),
        life_change_day=np.where(changes, rng.integers(-BURN_IN_DAYS, n_days, n_people), NEVER),
        project_end_day=_project_ends(rng, registered_ms),
        n_followers=followers.astype(np.int64),
        personalisation_opt_out=rng.random(n_people) < 0.05,
        is_minor=is_minor,
    )


def _registrations(rng: np.random.Generator, n_people: int, n_days: int) -> Ints:
    old = -rng.integers(OLD_DAYS[0] * DAY_MS, OLD_DAYS[1] * DAY_MS, n_people)
    coming = rng.integers(-BURN_IN_DAYS * DAY_MS, n_days * DAY_MS, n_people)
    return np.where(rng.random(n_people) < OLD_SHARE, old, coming)


def _project_ends(rng: np.random.Generator, registered_ms: Ints) -> Ints:
    begins = np.maximum(registered_ms // DAY_MS, -BURN_IN_DAYS)
    has_project = rng.random(len(begins)) < PROJECT_SHARE
    return np.where(has_project, begins + rng.integers(*PROJECT_DAYS, len(begins)), NEVER)


def _interests(rng: np.random.Generator, book: Phrasebook, n_people: int) -> Floats:
    """A few strong categories, a few strong topics in each; popular categories in more people."""
    categories, column = np.unique(np.array(book.categories), return_inverse=True)
    popularity = _popularity(categories.tolist(), book)
    likes = rng.gamma(0.3 * popularity, 1.0, (n_people, len(categories)))
    tastes = likes[:, column] * rng.gamma(0.5, 1.0, (n_people, len(column))) + 1e-6
    return np.asarray(tastes / tastes.sum(axis=1, keepdims=True))


def _popularity(categories: Sequence[str], book: Phrasebook) -> Floats:
    known = {topic.category: topic.popularity for topic in book.topics}
    return np.array([known[category] for category in categories])

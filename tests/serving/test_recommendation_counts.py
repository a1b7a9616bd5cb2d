"""The counted report on recommendations is what a count of everything says, whatever happened to what is counted."""

import random
from typing import get_args

import pytest

from features.state import DAY_US, RETAINED_DAYS
from serving.store.journal import Fact, FactType
from serving.store.recommendations import By, Rate, Recommendation
from serving.store.sql_erasures import SqlErasures
from serving.store.sql_journal import SqlJournal
from serving.store.sql_recommendation_counts import QUARTER_US, rates
from serving.store.sql_recommendations import SqlRecommendations

pytestmark = pytest.mark.anyio

START = 20_000 * DAY_US
LATER = START + (RETAINED_DAYS + 2) * DAY_US
USERS = ("ann", "bob", "eve")
EVENTS = ("impression", "impression", "click", "like", "hide", "report")


@pytest.fixture
async def log(database):
    return SqlRecommendations(database)


def feed(chance, place):
    """A feed of three notes, some time in the first three hours; now and then on the edge of a quarter."""
    at = START + chance.choice([chance.randrange(12 * QUARTER_US), chance.randrange(12) * QUARTER_US])
    user_id, arm, scene = chance.choice([*USERS, None]), chance.choice(["exploit", "explore"]), chance.choice("hs")
    return [
        Recommendation(f"r{place}", row, at, user_id, f"n{row}", chance.choice("abc"), arm, scene, 0.5, "1", "d")
        for row in range(3)
    ]


def said(chance, number, *, received_at=START):
    named = f"r{chance.randrange(40)}"  # ten of them are never on record
    return Fact(
        FactType.EVENT, chance.choice(USERS), received_at, received_at, f"e{number}", chance.choice(EVENTS),
        f"n{chance.randrange(4)}", recommendation_id=chance.choice([named, named, None]),
    )  # fmt: skip


async def recount(journal, log, by, since, before):
    """What a count of everything says."""
    facts = [fact for _, fact in await journal.page(0, limit=9_999)]
    clicked = {(one.recommendation_id, one.note_id) for one in facts if one.event in ("click", "like")}
    exposed = clicked | {(one.recommendation_id, one.note_id) for one in facts if one.event == "impression"}
    counted: dict[str, list[int]] = {}
    for one in await log.page(("", -1), limit=9_999):
        if since <= one.recommended_at < before:
            row, key = counted.setdefault(getattr(one, by), [0, 0, 0]), (one.recommendation_id, one.note_id)
            row[:] = row[0] + 1, row[1] + (key in exposed), row[2] + (key in clicked)
    return [Rate(name, *row) for name, row in sorted(counted.items())]


async def agree(journal, log, chance):
    """Compare over everything, whole quarters, within one quarter, across edges, and nothing at all."""
    stretches = [(0, LATER), (START + QUARTER_US, START + 4 * QUARTER_US), (START + 5, START + 9), (LATER, LATER + 1)]
    stretches += [sorted(START + chance.randrange(12 * QUARTER_US) for _ in range(2)) for _ in range(3)]
    for since, before in stretches:
        for by in get_args(By):
            expected = await recount(journal, log, by, since, before)
            assert await log.rates(by, since=since, before=before) == expected
    return await log.rates("source", since=0, before=LATER)


async def test_the_report_is_what_a_count_of_everything_says(database):
    chance, journal, log = random.Random(7), SqlJournal(database), SqlRecommendations(database)
    early = [said(chance, number) for number in range(60)]  # before what they name is on record
    await journal.append(early)
    for place in range(30):
        await log.add(feed(chance, place))
    everything = await agree(journal, log, chance)
    await journal.append([*early[:20], *(said(chance, number) for number in range(60, 160))])  # some said again
    more = await agree(journal, log, chance)
    assert sum(one.n_clicked for one in more) > sum(one.n_clicked for one in everything) > 0
    await SqlErasures(database).begin("ann", START)
    for erasable in (journal, log):
        await erasable.erase("ann")
    await log.add([feed(chance, 31)[0]._replace(user_id="ann")])
    less = await agree(journal, log, chance)
    assert sum(one.n_recommended for one in less) < sum(one.n_recommended for one in more) == 90
    await log.retire(START + 6 * QUARTER_US, limit=7)
    await agree(journal, log, chance)
    while await log.retire(START + 6 * QUARTER_US, limit=7):
        pass
    await agree(journal, log, chance)
    await journal.append([said(chance, 200, received_at=LATER)._replace(user_id="bob", recommendation_id=None)])
    assert await journal.retire(0, before=LATER, at=LATER, limit=999) is not None  # eve's events go
    last = await agree(journal, log, chance)
    assert sum(one.n_exposed for one in last) < sum(one.n_exposed for one in less)
    assert sum(one.n_recommended for one in last) > 0
    while await log.retire(LATER, limit=99):
        pass
    assert await agree(journal, log, chance) == []


async def test_a_report_reads_the_counts_alone(database, log):
    """Where the stretch is of whole quarters; else what lies outside of them, and never all there is."""
    await log.add([row for place in range(30) for row in feed(random.Random(place), place)])
    whole = {"since": START, "before": START + 13 * QUARTER_US}
    expected = await log.rates("arm", **whole)
    await database.write(lambda here: here.exec_driver_sql("DELETE FROM recommendations"))
    assert await database.read(lambda there: rates(there, "arm", **whole), many=True) == expected != []

"""What every store of scores must do, on both databases."""

import asyncio

import pytest
from sqlalchemy import Engine, event

from serving.store.postgres import open_postgres
from serving.store.scores import NewScore, ScoreQuery, ScoreRun
from serving.store.sql_erasures import SqlErasures
from serving.store.sql_scores import LOOKED_AT, SqlScores

pytestmark = pytest.mark.anyio

RUN = ScoreRun(as_of=100, version="1", digest="a" * 64, thresholds={7: 0.6, 30: 0.4})
LATER = RUN._replace(as_of=200, version="2", digest="b" * 64)
ALL = ScoreQuery(30, "scored")


@pytest.fixture
def scores(database):
    return SqlScores(database)


def scored(user_id, probability, *, last_active_at=50):
    """A user whose probability for a week is half of that for a month."""
    return NewScore(user_id, "scored", last_active_at, [probability / 2, probability])


def gone(user_id, status="inactive"):
    return NewScore(user_id, status, None, [None, None])


async def listed(scores, query=ALL, *, limit=100):
    """All pages of a list, and how many they were."""
    found, after, n_pages = [], None, 0
    while n_pages == 0 or after:
        page = await scores.page(query, after=after, limit=limit)
        assert len(page.scores) <= limit
        found, after, n_pages = [*found, *page.scores], page.reached, n_pages + 1
    return found, n_pages


async def ids(scores, **bounds):
    found, _ = await listed(scores, ALL._replace(**bounds))
    return "".join(one.user_id for one in found)


async def test_a_score_says_as_of_when_by_which_model_and_whether_it_is_a_risk(scores):
    await scores.put_many(RUN, [scored("u", 0.5)])
    [month], _ = await listed(scores)
    [week], _ = await listed(scores, ALL._replace(horizon_days=7))
    assert (month.probability, month.threshold, month.at_risk) == (0.5, 0.4, True)
    assert (week.probability, week.threshold, week.at_risk) == (0.25, 0.6, False)
    assert (month.user_id, month.last_active_at, month.changed_at, month.run) == ("u", 50, 100, RUN)


async def test_the_riskiest_come_first_and_pages_meet_everyone_once(scores):
    everyone = [scored(f"u{n:02}", n % 7 / 10) for n in range(50)]
    await scores.put_many(RUN, everyone)
    found, n_pages = await listed(scores, limit=8)
    expected = sorted(((one.probabilities[1], one.user_id) for one in everyone), reverse=True)
    assert [(one.probability, one.user_id) for one in found] == expected
    assert n_pages == 7  # six of eight users and one of two


async def test_a_full_last_page_is_the_last(scores):
    await scores.put_many(RUN, [scored("a", 0.1), scored("b", 0.2)])
    assert (await scores.page(ALL, after=None, limit=2)).reached is None


async def test_bounds_choose_whom_to_list(scores):
    users = [scored(name, p, last_active_at=at) for name, p, at in (("a", 0.1, 10), ("b", 0.5, 20), ("c", 0.9, 30))]
    await scores.put_many(RUN, [*users, gone("d"), gone("e", "cold_start")])
    assert await ids(scores) == "cba"
    assert await ids(scores, min_probability=0.5) == "cb"
    assert await ids(scores, max_probability=0.5) == "ba"
    assert await ids(scores, min_probability=0.2, max_probability=0.8) == "b"
    assert await ids(scores, active_since=20) == "cb"
    assert await ids(scores, active_before=20) == "a"
    assert await ids(scores, status="inactive") == "d"
    assert await ids(scores, status="cold_start") == "e"
    assert await ids(scores, status="inactive", min_probability=0) == ""
    assert await ids(scores, horizon_days=14) == ""


async def test_who_is_not_scored_is_paged_through_too(scores):
    await scores.put_many(RUN, [gone(f"u{n}") for n in range(9)])
    found, n_pages = await listed(scores, ALL._replace(status="inactive"), limit=4)
    assert [one.user_id for one in found] == [f"u{n}" for n in range(8, -1, -1)]
    assert n_pages == 3
    assert {(one.probability, one.at_risk, one.last_active_at) for one in found} == {(None, None, None)}


async def test_a_later_run_takes_a_scores_place_and_an_earlier_one_does_not(scores):
    await scores.put_many(LATER, [scored("u", 0.7)])
    await scores.put_many(RUN, [scored("u", 0.2), scored("v", 0.3)])
    found, _ = await listed(scores)
    assert [(one.user_id, one.probability, one.run) for one in found] == [("u", 0.7, LATER), ("v", 0.3, RUN)]
    assert await scores.newest_run() == LATER


async def test_putting_a_block_again_changes_nothing(scores):
    for _ in range(2):
        await scores.put_many(RUN, [scored("u", 0.7), gone("v")])
    assert [one.user_id for one in (await listed(scores))[0]] == ["u"]


async def test_changed_since_is_when_probability_or_status_last_moved(scores):
    await scores.put_many(RUN, [scored("a", 0.1), scored("b", 0.2), gone("c"), gone("d")])
    await scores.put_many(LATER, [scored("a", 0.1), scored("b", 0.3), scored("c", 0.4), gone("d")])
    assert [(one.user_id, one.changed_at) for one in (await listed(scores))[0]] == [("c", 200), ("b", 200), ("a", 100)]
    assert await ids(scores, changed_since=101) == "cb"
    assert await ids(scores, changed_since=100) == "cba"
    assert await ids(scores, status="inactive", changed_since=101) == ""


async def test_without_scores_there_is_no_run_and_nobody_to_list(scores):
    assert await scores.newest_run() is None
    assert await listed(scores) == ([], 1)


@pytest.mark.parametrize("user_id", ['a"b', "用户😀", "a'b", "%"])
async def test_any_text_is_a_user_id(scores, user_id):
    await scores.put_many(RUN, [scored("0", 0.5), scored(user_id, 0.5)])
    found, _ = await listed(scores, limit=1)
    assert {one.user_id for one in found} == {"0", user_id}


async def test_a_list_that_is_rewritten_meanwhile_lists_who_did_not_change_exactly_once(scores):
    """Every second user moves to a random place between two pages."""
    await scores.put_many(RUN, [scored(f"u{n:03}", n / 300) for n in range(300)])
    found, after = [], None
    for step in range(1_000):
        page = await scores.page(ALL, after=after, limit=7)
        found += page.scores
        moving = [scored(f"u{n:03}", (n * 37 + step * 101) % 300 / 300) for n in range(1, 300, 2)]
        await scores.put_many(RUN, moving)
        after = page.reached
        if after is None:
            break
    still = [one.user_id for one in found if int(one.user_id[1:]) % 2 == 0]
    assert still == [f"u{n:03}" for n in range(298, -1, -2)]


async def test_a_rare_match_is_found_over_pages_that_each_look_at_a_bounded_number(scores):
    n_users = 2 * LOOKED_AT + 500
    await scores.put_many(RUN, [scored(f"u{n:05}", n / n_users, last_active_at=n) for n in range(n_users)])
    found, n_pages = await listed(scores, ALL._replace(active_before=2))
    assert [one.user_id for one in found] == ["u00001", "u00000"]
    assert n_pages == 3


async def test_a_page_is_read_by_the_index_whatever_is_asked(scores, database, monkeypatch):
    monkeypatch.setattr("serving.store.sql_scores.LOOKED_AT", 200)  # as few of these users as of a large community
    for start in range(0, 20_000, 2_000):
        users = [scored(f"u{n:05}", n / 20_000, last_active_at=n) for n in range(start, start + 2_000)]
        await scores.put_many(RUN, [*users[1::2], *(gone(one.user_id) for one in users[::2])])
    await database.write(lambda connection: connection.exec_driver_sql("ANALYZE"))
    statements = []

    def note(_connection, _cursor, statement, parameters, *_):
        if "FROM scores" in statement:
            statements.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", note)
    for status, place in (("scored", (0.5, "u10000")), ("inactive", (None, "u10000"))):
        query = ALL._replace(status=status)
        for asked in (
            query,
            query._replace(min_probability=0.2, max_probability=0.8),
            query._replace(active_since=5, active_before=9_000),
            query._replace(min_probability=0.2, max_probability=0.8, changed_since=100),
        ):
            await scores.page(asked, after=place, limit=100)
    event.remove(Engine, "before_cursor_execute", note)
    plans = [await database.read(lambda c, one=one: explained(c, *one), many=True) for one in statements]
    assert len(plans) == 12
    for plan in plans:
        assert "ix_scores_risk" in plan
        assert not any(slow in plan for slow in ("SCAN", "Seq Scan", "TEMP B-TREE")), plan
        assert "Sort" not in plan or ends_at_a_place(plan), plan
        begins_at_the_place = (
            "user_id<?",
            "(probability,user_id)<(?,?)",
            "(ROW(probability, user_id) < ROW(",
            "(user_id < ",
        )
        assert any(bound in plan for bound in begins_at_the_place), plan


def ends_at_a_place(plan):
    """Whether only a page's worth of looking is read: PostgreSQL may then read first and sort after."""
    return any(bound in plan for bound in (">= ROW(", "(user_id >= "))


def explained(connection, statement, parameters):
    """How the database would run a statement."""
    explain = {"sqlite": "EXPLAIN QUERY PLAN", "postgresql": "EXPLAIN"}[connection.dialect.name]
    return "\n".join(str(tuple(row)) for row in connection.exec_driver_sql(f"{explain} {statement}", parameters))


async def test_what_is_held_of_a_user_can_be_seen_and_erased(scores):
    await scores.put_many(RUN, [scored("u", 0.5), scored("v", 0.5)])
    assert [(one.horizon_days, one.probability) for one in await scores.held("u")] == [(7, 0.25), (30, 0.5)]
    for _ in range(2):
        await scores.erase("u")
    assert await scores.held("u") is None
    assert await ids(scores) == "v"


async def test_an_erased_user_has_no_scores_and_gets_none(scores, database):
    await scores.put_many(RUN, [scored("u", 0.5), scored("v", 0.5)])
    await SqlErasures(database).begin("u", 1)
    await scores.erase("u")
    await scores.put_many(LATER, [scored("u", 0.6), scored("v", 0.6)])
    await scores.put_many(LATER, [scored("u", 0.6)])
    assert await ids(scores) == "v"


async def test_an_erasure_waits_for_what_another_process_is_putting(postgres_url):
    """A put that asked for tombstones before there was one must not end after the erasure."""
    everyone = [scored(f"u{n}", 0.5) for n in range(2_000)]
    async with open_postgres(postgres_url, timeout_s=30) as ours, open_postgres(postgres_url, timeout_s=30) as theirs:
        for n in range(5):
            putting = asyncio.create_task(SqlScores(theirs).put_many(RUN, everyone))
            await SqlScores(ours).newest_run()
            await SqlErasures(ours).begin(f"u{n}", 1)
            await SqlScores(ours).erase(f"u{n}")
            await putting
            assert await SqlScores(ours).held(f"u{n}") is None

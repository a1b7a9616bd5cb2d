"""States follow the journal exactly once, through races and crashes."""

import asyncio
import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from features.schema import EVENT_KINDS, kind_code
from features.state import DAY_US, Event, UserState, UserStates, thousandths
from serving.errors import StoreError
from serving.folding import Folder
from serving.store.journal import Fact, FactType
from serving.store.sql_journal import SqlJournal
from serving.store.sqlite_file import open_sqlite
from serving.store.sqlite_states import SqliteStates
from serving.store.state import StateUpdate
from serving.workers import Workers

pytestmark = pytest.mark.anyio


@pytest.fixture
def folder(journal, states):
    return Folder(journal, states, Workers())


def opened(event_id, user_id="u", day=20_000):
    return Fact(FactType.EVENT, user_id, day * DAY_US, 0, event_id=event_id, event="open")


def folded(*days):
    return UserState().fold(Event(0, day * DAY_US) for day in days).encode()


async def test_refreshing_twice_counts_once(journal, states, folder):
    await journal.append([opened("a"), opened("b", day=20_001)])
    for _ in range(2):
        await folder.refresh(["u"])
    assert await states.get_many(["u"]) == {"u": (folded(20_000, 20_001), 2)}


async def test_a_refresh_includes_whatever_was_missed_before(journal, states, folder):
    await journal.append([opened("a")])  # and then the process died before folding
    await journal.append([opened("b", day=20_001)])
    await folder.refresh(["u"])
    assert (await states.get_many(["u"]))["u"].encoded == folded(20_000, 20_001)


async def test_refreshes_of_one_user_at_once_lose_nothing(journal, states, folder):
    async def append_and_refresh(n):
        await journal.append([opened(str(n), day=20_000 + n)])
        await folder.refresh(["u"])

    await asyncio.gather(*(append_and_refresh(n) for n in range(50)))
    assert await states.get_many(["u"]) == {"u": (folded(*range(20_000, 20_050)), 50)}


class RacingStates:
    """Lets another refresh win just before the first put, and a fact arrive after it."""

    def __init__(self, states, journal):
        self.states = states
        self.journal = journal
        self.lost = False
        self.get_many, self.generation = states.get_many, states.generation

    async def put_many(self, updates):
        if not self.lost:
            self.lost = True
            await self.journal.append([opened("before", day=19_001)])
            await Folder(self.journal, self.states, Workers()).refresh(["u"])
            await self.journal.append([opened("after", day=19_002)])
        return await self.states.put_many(updates)


async def test_a_lost_race_is_folded_again_on_top_of_the_winner(journal, states):
    await journal.append([opened("a")])
    await Folder(journal, RacingStates(states, journal), Workers()).refresh(["u"])
    assert await states.get_many(["u"]) == {"u": (folded(20_000, 19_001, 19_002), 3)}


async def test_repair_folds_what_a_crash_left_and_moves_the_watermark(journal, states, folder):
    await journal.append([opened(str(n), f"u{n}") for n in range(2_500)])
    await folder.refresh(["u3"])
    await folder.repair()
    assert len(await states.get_many([f"u{n}" for n in range(2_500)])) == 2_500
    assert await states.watermark() == 2_500
    await folder.repair()
    assert await states.watermark() == 2_500


class BrokenStates(SqliteStates):
    """Can't be written."""

    async def put_many(self, updates):
        raise StoreError("down")


def test_events_are_accepted_though_the_states_are_down_and_repaired_at_the_next_start(world, event):
    world.registry.release()
    with world.open() as client:
        services = client.app.state.services
        services.folder._states = BrokenStates(services.states._file)
        answer = client.post("/v1/events", json={"events": [event()]}).json()
        assert answer["results"][0]["status"] == "accepted"
        assert answer["degraded"] == ["states"]
    with world.open() as client:
        answer = client.post("/v1/users:score", json={"user_ids": ["u1"]}).json()
        assert answer["results"][0]["status"] == "scored"


EVENTS = st.tuples(
    st.sampled_from(["u", "v"]),
    st.sampled_from([*EVENT_KINDS, "unknown"]),
    st.integers(0, 20_300 * DAY_US),
    st.none() | st.floats(-1e9, 1e9),
)


@given(events=st.lists(EVENTS, max_size=30), data=st.data())
@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_however_facts_are_cut_into_batches_and_ordered_the_state_is_the_same(tmp_path_factory, events, data):
    order = data.draw(st.permutations(range(len(events))))
    size = data.draw(st.integers(1, 10))

    async def states_after():
        async with open_sqlite(tmp_path_factory.mktemp("fold") / "test.db") as file:
            journal, states = SqlJournal(file), SqliteStates(file)
            folder = Folder(journal, states, Workers())
            for start in range(0, len(order), size):
                batch = [events[place] for place in order[start : start + size]]
                await journal.append(
                    [
                        Fact(FactType.EVENT, user_id, at, 0, event=kind, value=value)
                        for user_id, kind, at, value in batch
                    ]
                )
                await folder.refresh({one[0] for one in batch})
            return {user_id: stored.encoded for user_id, stored in (await states.get_many(["u", "v"])).items()}

    expected = {
        user_id: UserState()
        .fold(Event(kind_code(kind), at, thousandths(value)) for owner, kind, at, value in events if owner == user_id)
        .encode()
        for user_id in {one[0] for one in events}
    }
    assert asyncio.run(states_after()) == expected


class ReadOnlyStates:
    """Can be read, not written."""

    def __init__(self, states):
        self.get_many, self.generation = states.get_many, states.generation

    async def put_many(self, updates):
        raise StoreError("read-only")


async def filled(journal, folder, n_users=250):
    """Facts of so many users, folded; the bytes of their states."""
    await journal.append([opened(f"{n}-{day}", f"u{n}", 20_000 + n + day) for day in range(3) for n in range(n_users)])
    await folder.repair()
    return {f"u{n}": folded(*range(20_000 + n, 20_003 + n)) for n in range(n_users)}


async def encoded_states(states, user_ids):
    return {user_id: one.encoded for user_id, one in (await states.get_many(list(user_ids))).items()}


async def test_a_lost_state_is_folded_anew_for_its_score_and_kept(journal, states, folder):
    expected = await filled(journal, folder)
    await states.reset(await journal.last_seq())
    found = await folder.states_at([*expected, "never seen"], 30_000 * DAY_US)
    whole = UserStates.decode([*expected.values(), UserState().encode()])
    assert np.array_equal(found.latest_at, whole.latest_at)
    assert np.array_equal(found.rows, whole.rows)
    assert await encoded_states(states, [*expected, "never seen"]) == expected


async def test_the_event_loop_turns_on_while_a_long_log_is_folded_for_a_past_instant(sqlite):
    journal, states = SqlJournal(sqlite), SqliteStates(sqlite)
    folder = Folder(journal, states, Workers())
    await journal.append([opened(str(n), day=19_000 + n // 50) for n in range(20_000)])
    await folder.repair()
    folding = asyncio.create_task(folder.states_at(["u"], 19_200 * DAY_US))
    n_turns = 0
    while not folding.done():
        await asyncio.sleep(0)
        n_turns += 1
    assert int((await folding).rows["n"].sum()) == 200 * 50
    assert n_turns > 100  # on the loop itself reading and folding would take a turn each


async def test_a_lost_state_is_folded_whole_when_the_user_comes_back(journal, states, folder):
    expected = await filled(journal, folder)
    await states.reset(await journal.last_seq())
    await journal.append([opened("new", "u7", 21_000)])
    await folder.refresh(["u7"])
    assert (await states.get_many(["u7"]))["u7"].encoded == folded(20_007, 20_008, 20_009, 21_000)
    assert await encoded_states(states, expected) == {"u7": folded(20_007, 20_008, 20_009, 21_000)}


async def test_a_lost_state_is_scored_though_it_can_not_be_put_back(journal, states, folder):
    expected = await filled(journal, folder, n_users=3)
    await states.reset(await journal.last_seq())
    read_only = Folder(journal, ReadOnlyStates(states), Workers())
    assert len((await read_only.states_at(list(expected), 30_000 * DAY_US)).rows) == 9


@pytest.mark.parametrize("garbled", [b"\x02" + folded(20_000)[1:], b"", b"\x01short", folded(20_000) + b"x"])
async def test_a_state_that_can_not_be_read_is_folded_anew(journal, states, folder, garbled):
    await journal.append([opened("a"), opened("b", "v")])
    await states.put_many([StateUpdate("u", garbled, 1, 0), StateUpdate("v", garbled, 2, 0)])
    assert (await folder.states_at(["u"], 30_000 * DAY_US)).latest_at.tolist() == [20_000 * DAY_US]
    await folder.refresh(["v"])
    assert await encoded_states(states, ["u", "v"]) == {"u": folded(20_000), "v": folded(20_000)}


async def test_rebuilding_gives_every_state_bit_for_bit_and_nothing_else(journal, states, folder):
    expected = await filled(journal, folder)
    before = await states.get_many([*expected, "ghost"])
    await states.put_many([StateUpdate("ghost", folded(1), 5, 0), StateUpdate("u1", b"spoilt", 9_999, 252 + 250)])
    progress = [one async for one in folder.rebuild()]
    assert progress == [(750, 750)]
    assert await states.get_many([*expected, "ghost"]) == before
    assert before.keys() == expected.keys()
    assert await states.watermark() == 750


async def test_rebuilding_beside_a_server_that_takes_events_loses_none(journal, states, folder):
    await filled(journal, folder, n_users=50)
    server = Folder(journal, states, Workers())

    async def serve():
        for n in range(20):
            await journal.append([opened(f"late-{n}", f"u{n}", 20_500)])
            await server.refresh([f"u{n}"])

    async def rebuild():
        async for _ in folder.rebuild():
            pass

    await asyncio.gather(serve(), rebuild())
    days = {n: [20_000 + n, 20_001 + n, 20_002 + n] + [20_500] * (n < 20) for n in range(50)}
    assert await encoded_states(states, [f"u{n}" for n in days]) == {f"u{n}": folded(*own) for n, own in days.items()}


async def test_states_ahead_of_a_restored_journal_are_folded_anew(journal, states, folder):
    await journal.append([opened("a")])
    await states.put_many([StateUpdate("u", folded(20_000, 20_001), 7, 0)])  # of a journal that was lost
    await states.advance_watermark(7)
    await folder.repair()
    assert await states.watermark() == 1
    assert (await folder.states_at(["u"], 30_000 * DAY_US)).latest_at.tolist() == [20_000 * DAY_US]


async def test_a_folder_is_level_from_its_first_repair_until_a_fold_fails(journal, states):
    folder = Folder(journal, states, Workers())
    assert not folder.is_level
    await folder.repair()
    assert folder.is_level
    await journal.append([opened("a")])
    folder._states = ReadOnlyStates(states)
    with pytest.raises(StoreError):
        await folder.refresh(["u"])
    assert not folder.is_level
    folder._states = states
    await folder.repair()
    assert folder.is_level


async def test_what_reads_long_holds_nobody_up_who_reads_many(sqlite):
    end = threading.Event()
    long = asyncio.create_task(sqlite.read_long(lambda _: end.wait(30)))
    await asyncio.sleep(0)  # it is under way
    assert await sqlite.read(lambda there: there.exec_driver_sql("SELECT 1").scalar(), many=True) == 1
    assert not long.done()
    end.set()
    assert await long


async def test_a_history_is_what_happened_before_and_every_profile(journal):
    profile = Fact(FactType.PROFILE, "u", 9, 9, body="{}")
    events = [
        Fact(FactType.EVENT, user, at, at, event_id=f"{user}{at}", event="open") for user in "uv" for at in (3, 5)
    ]
    await journal.append([*events, profile])
    history = await journal.history(["u", "v", "nobody"], before=5)
    assert {user: [(one.seq, one.occurred_at) for one in own] for user, own in history.items()} == {
        "u": [(1, 3), (5, 9)], "v": [(3, 3)],
    }  # fmt: skip

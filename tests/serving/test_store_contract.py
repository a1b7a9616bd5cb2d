"""What every journal and state store must do; each implementation is a parameter of ``stores``."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from serving.store.journal import AppendStatus, Fact, FactType, Journal
from serving.store.sqlite import SqliteJournal, SqliteStates
from serving.store.sqlite_file import open_sqlite
from serving.store.state import StateStore, StateUpdate, StoredState

ACCEPTED, DUPLICATE, CONFLICT = AppendStatus
pytestmark = pytest.mark.anyio


@asynccontextmanager
async def sqlite(folder: Path) -> AsyncIterator[tuple[Journal, StateStore]]:
    async with open_sqlite(folder / "test.db") as file:
        yield SqliteJournal(file), SqliteStates(file)


@pytest.fixture(params=[sqlite])
async def stores(request, tmp_path):
    async with request.param(tmp_path) as opened:
        yield opened


@pytest.fixture
async def journal(stores):
    return stores[0]


@pytest.fixture
async def states(stores):
    return stores[1]


def fact(event_id, user_id="u", at=1, **fields):
    return Fact(FactType.EVENT, user_id, at, received_at=fields.pop("received_at", 9), event_id=event_id, **fields)


async def test_entries_ascend_and_hold_what_was_appended(journal):
    await journal.append(
        [fact("a", at=5, event="open", value=0.1), fact("b", "v"), fact("c", at=3, event="吃", note_id="n")]
    )
    found = await journal.entries({"u": 0, "v": 0, "nobody": 0})
    assert {user_id: [one[2:5] for one in own] for user_id, own in found.items()} == {
        "u": [(5, "open", 0.1), (3, "吃", None)],
        "v": [(1, None, None)],
    }
    assert [one.seq for one in found["u"]] == sorted(one.seq for one in found["u"])


async def seqs(journal, **after):
    return {user_id: [one.seq for one in own] for user_id, own in (await journal.entries(after)).items()}


async def test_entries_start_above_the_seq_given_for_each_user(journal):
    await journal.append([fact(str(n), user_id) for n, user_id in enumerate("uvuv")])
    assert await seqs(journal, u=0, v=0) == {"u": [1, 3], "v": [2, 4]}
    assert await seqs(journal, u=1, v=0) == {"u": [3], "v": [2, 4]}
    assert await seqs(journal, u=3, v=3) == {"v": [4]}


@pytest.mark.parametrize("user_id", ['a"b', "a\\b", "用户😀", "a'b", "%", "{}"])
async def test_any_text_is_a_user_id(journal, states, user_id):
    await journal.append([fact("a", user_id)])
    assert list(await journal.entries({user_id: 0})) == [user_id]
    await states.put_many([StateUpdate(user_id, b"x", 1, 0)])
    assert list(await states.get_many([user_id])) == list(await states.get_many([user_id, "b"])) == [user_id]


async def test_an_event_id_is_taken_once_in_a_batch_and_after(journal):
    assert await journal.append([fact("a"), fact("a"), fact("a", at=2)]) == [ACCEPTED, DUPLICATE, CONFLICT]
    assert await journal.append([fact("a"), fact("a", "v"), fact("b")]) == [DUPLICATE, CONFLICT, ACCEPTED]
    assert len((await journal.entries({"u": 0}))["u"]) == 2


async def test_the_time_of_receipt_is_no_part_of_an_event(journal):
    assert await journal.append([fact("a", received_at=1), fact("a", received_at=2)]) == [ACCEPTED, DUPLICATE]


async def test_facts_without_an_event_id_never_clash(journal):
    profiles = [Fact(FactType.PROFILE, "u", 1, 1, body="{}")] * 2
    assert await journal.append(profiles) == [ACCEPTED, ACCEPTED]


async def test_appending_at_once_gives_every_fact_a_seq_of_its_own(journal):
    batches = [[fact(f"{batch}-{n}", f"u{n}") for n in range(20)] for batch in range(30)]
    await asyncio.gather(*(journal.append(batch) for batch in batches))
    found = await journal.entries({f"u{n}": 0 for n in range(20)})
    assert sorted(one.seq for own in found.values() for one in own) == list(range(1, 601))
    assert await journal.last_seq() == 600


async def test_touched_pages_through_everyone(journal):
    await journal.append([fact(str(n), f"u{n % 3}") for n in range(7)])
    first = await journal.touched(0, limit=2)
    rest = await journal.touched(first.last_seq, limit=100)
    assert (first.user_ids, rest.user_ids) == ({"u0", "u1"}, {"u0", "u1", "u2"})
    assert await journal.touched(rest.last_seq, limit=100) == (frozenset(), rest.last_seq)
    assert rest.last_seq == await journal.last_seq()


async def test_a_state_is_put_only_where_it_still_stands_as_expected(states):
    assert await states.put_many([StateUpdate("u", b"1", 3, 0), StateUpdate("v", b"v", 4, 0)]) == set()
    assert await states.put_many([StateUpdate("u", b"2", 7, 3), StateUpdate("v", b"w", 8, 3)]) == {"v"}
    assert await states.put_many([StateUpdate("u", b"3", 9, 3), StateUpdate("u2", b"x", 9, 5)]) == {"u", "u2"}
    assert await states.put_many([StateUpdate("u", b"4", 9, 0)]) == {"u"}
    assert await states.get_many(["u", "v", "u2"]) == {"u": StoredState(b"2", 7), "v": StoredState(b"v", 4)}


async def test_states_of_a_thousand_users_come_together(states):
    updates = [StateUpdate(f"u{n}", bytes([n % 256]) * 100, n + 1, 0) for n in range(1000)]
    assert await states.put_many(updates) == set()
    found = await states.get_many([f"u{n}" for n in range(0, 2000, 2)])
    assert found == {one.user_id: StoredState(one.encoded, one.applied_seq) for one in updates[::2]}


async def test_the_watermark_only_rises(states):
    assert await states.watermark() == 0
    for seq, stands in ((5, 5), (3, 5), (8, 8)):
        await states.advance_watermark(seq)
        assert await states.watermark() == stands

"""What every journal, key store and state store must do, on the real servers."""

import asyncio

import pytest
from sqlalchemy import select

from features.state import DAY_US
from serving.errors import StoreError
from serving.store.journal import AppendStatus, Fact, FactType
from serving.store.keys import StoredKey
from serving.store.sql_erasures import SqlErasures
from serving.store.sql_journal import SqlJournal
from serving.store.sql_keys import SqlKeys
from serving.store.state import StateUpdate, StoredState
from serving.store.tables import SALTS

ACCEPTED, DUPLICATE, CONFLICT, ERASED = AppendStatus
pytestmark = pytest.mark.anyio


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


async def test_users_are_paged_through_in_one_order_each_once(journal):
    await journal.append([fact(f"{user}-{n}", f"u{user}") for n in range(3) for user in (7, 1, 25, 12)])
    first = await journal.users("", limit=3)
    rest = await journal.users(first[-1], limit=3)
    assert [first, rest] == [["u1", "u12", "u25"], ["u7"]]
    assert await journal.users("u7", limit=3) == []


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


async def test_a_state_may_be_put_again_at_the_seq_where_it_stands(states):
    await states.put_many([StateUpdate("u", b"another version", 3, 0)])
    assert await states.put_many([StateUpdate("u", b"healed", 3, 3)]) == set()
    assert await states.get_many(["u"]) == {"u": StoredState(b"healed", 3)}


async def test_a_reset_forgets_every_state_and_may_lower_the_watermark(states):
    await states.put_many([StateUpdate(f"u{n}", b"x", 1, 0) for n in range(2_500)])
    await states.advance_watermark(9)
    await states.reset(4)
    assert await states.get_many([f"u{n}" for n in range(2_500)]) == {}
    assert await states.watermark() == 4
    assert await states.put_many([StateUpdate("u1", b"y", 2, 1)]) == {"u1"}


async def test_nothing_asked_is_nothing_answered(journal, states):
    assert (await states.get_many([]), await states.put_many([]), await journal.entries({})) == ({}, set(), {})


async def test_a_long_batch_full_of_repeats_is_appended_once(journal):
    batch = [fact(str(n), f"u{n % 7}", value=n / 8, note_id="笔记", session_id="s") for n in range(1000)]
    assert await journal.append(batch) == [ACCEPTED] * 1000
    assert await journal.append(batch) == [DUPLICATE] * 1000
    assert await journal.last_seq() == 1000


async def test_whoever_has_read_up_to_a_seq_never_misses_a_smaller_one(database):
    """Two writers that know nothing of each other, as two servers, and a reader that follows."""
    writers, seen, mark = [SqlJournal(database) for _ in range(2)], 0, 0

    async def write(writer):
        for batch in range(20):
            await writers[writer].append([fact(f"{writer}-{batch}-{n}") for n in range(5)])

    writing = asyncio.gather(write(0), write(1))
    while not writing.done() or mark < await writers[0].last_seq():
        entries = (await writers[0].entries({"u": mark})).get("u", [])
        seen, mark = seen + len(entries), entries[-1].seq if entries else mark
        await asyncio.sleep(0)
    assert seen == 200


async def test_a_batch_that_can_not_be_appended_leaves_nothing_and_uses_no_seq(journal):
    with pytest.raises(StoreError):
        await journal.append([fact("a"), fact("b")._replace(received_at=None)])
    assert await journal.last_seq() == 0
    assert await journal.append([fact("a")]) == [ACCEPTED]
    assert await seqs(journal, u=0) == {"u": [1]}


async def test_keys_are_found_by_hash_and_revoked_by_label(database):
    keys = SqlKeys(database)
    first, second = (StoredKey(name, "app", frozenset({"score", "ingest"}), 5) for name in ("a", "b"))
    await keys.add(first)
    await keys.add(second)
    assert (await keys.find("a"), await keys.find("c")) == (first, None)
    assert [await keys.revoke("app", 7), await keys.revoke("app", 8)] == [2, 0]
    assert await keys.find("b") == second._replace(revoked_at=7)


async def test_keys_are_listed_and_one_is_revoked_by_its_id(database):
    keys = SqlKeys(database)
    limited = StoredKey("a" * 64, "app", frozenset({"score"}), 5, None, 9, 20)
    other = StoredKey("a" * 11 + "b" * 53, "app", frozenset({"score"}), 4)
    await keys.add(limited)
    await keys.add(other)
    assert [await keys.revoke_one(one, 7) for one in (limited.key_id, limited.key_id, "aaaa", "%")] == [1, 0, 0, 0]
    assert await keys.all() == [other, limited._replace(revoked_at=7)]


async def test_a_journal_says_what_it_holds_of_a_user(journal):
    await journal.append(
        [
            fact("a", at=5, event="open"),
            fact("b", at=3, event="open"),
            fact("c", at=4, event="read", target_user_id="u"),
            fact("d", "v", event="follow", target_user_id="u"),
            Fact(FactType.INTEREST, "u", 1, 1, body='{"deleted": "tea"}'),
            *(Fact(FactType.PROFILE, "u", 1, 1, body=body) for body in ('{"is_minor": false}', '{"is_minor": true}')),
        ]
    )
    assert await journal.held("u") == ({"is_minor": True}, 2, [("open", 2, 3, 5), ("read", 1, 4, 4)], 1, ["tea"])
    assert await journal.held("v") == (None, 0, [("follow", 1, 1, 1)], 0, [])
    assert await journal.held("nobody") is None


async def test_an_erased_user_is_gone_from_the_journal_and_others_are_as_they_were(database, journal):
    await journal.append([fact("a"), fact("b", "v", target_user_id="u"), fact("c", "v", target_user_id="w"), fact("d")])
    before = await journal.entries({"v": 0})
    await SqlErasures(database).begin("u", 7)
    await journal.erase("u")
    await journal.erase("u")
    assert await journal.held("u") is None
    assert await journal.entries({"u": 0, "v": 0}) == before
    assert (await journal.held("w")).n_mentions == 1
    assert await journal.last_seq() == 4


async def test_a_seq_of_an_erased_fact_is_not_used_again(database, journal):
    await journal.append([fact("a", "v"), fact("b")])
    await SqlErasures(database).begin("u", 7)
    await journal.erase("u")
    await journal.append([fact("c", "v")])
    assert await seqs(journal, v=0) == {"v": [1, 3]}
    assert await journal.touched(1, limit=5) == ({"v"}, 3)


async def test_more_facts_than_one_transaction_erases_all_go(database, journal):
    for start in range(0, 5_000, 1_000):
        await journal.append([fact(f"{start + n}", "uv"[n % 2], target_user_id="vu"[n % 2]) for n in range(1_000)])
    await SqlErasures(database).begin("u", 7)
    await journal.erase("u")
    assert await journal.held("u") is None
    assert (await journal.held("v")).events == [(None, 2_500, 1, 1)]


async def test_of_an_erased_user_nothing_is_taken_and_no_mention_is_kept(database, journal):
    await SqlErasures(database).begin("u", 7)
    late = [fact("a"), fact("b", "v", target_user_id="u"), Fact(FactType.PROFILE, "u", 1, 1, body="{}")]
    assert await journal.append(late) == [ERASED, ACCEPTED, ERASED]
    assert await journal.append(late[:2]) == [ERASED, DUPLICATE]
    assert await journal.held("u") is None
    assert await seqs(journal, u=0, v=0) == {"v": [1]}


async def test_what_was_sent_before_an_erasure_is_still_a_duplicate_after(database, journal):
    mention = fact("a", "v", target_user_id="u")
    await journal.append([mention])
    await SqlErasures(database).begin("u", 7)
    await journal.erase("u")
    assert await journal.append([mention]) == [DUPLICATE]


async def test_an_erasure_is_pending_until_it_is_finished_and_dated_by_its_begin(database):
    log = SqlErasures(database)
    assert [await log.begin("u", 7), await log.begin("v", 8), await log.begin("u", 9)] == [7, 8, 7]
    assert [one.user_id for one in await log.pending(at=9, limit=9)] == ["u", "v"]
    await log.finish("u")
    assert [one.user_id for one in await log.pending(at=9, limit=9)] == ["v"]
    assert await log.begin("u", 10) == 7


async def test_salts_are_a_deployments_own(sqlite, postgres_database):
    ours, theirs = [
        await database.read(lambda connection: connection.scalars(select(SALTS.c.salt)).all(), many=True)
        for database in (sqlite, postgres_database)
    ]
    assert [len(one) for one in (*ours, *theirs)] == [32] * 4  # of tombstones and of devices
    assert len({*ours, *theirs}) == 4


async def test_of_an_erased_user_no_state_is_left(states):
    await states.put_many([StateUpdate("u", b"1", 3, 0), StateUpdate("v", b"2", 4, 0)])
    assert await states.held("u") == StoredState(b"1", 3)
    await states.erase("u")
    await states.erase("u")
    assert (await states.held("u"), await states.held("v")) == (None, StoredState(b"2", 4))


async def test_a_state_folded_before_its_user_was_erased_can_not_be_put_after(states):
    await states.put_many([StateUpdate("v", b"1", 3, 0)])
    generation = await states.generation()
    await states.erase("u")
    late = [StateUpdate(user_id, b"2", 5, 0, generation) for user_id in "uw"]
    assert await states.put_many([*late, StateUpdate("v", b"3", 5, 3, generation)]) == {"u", "w"}
    assert await states.get_many(["u", "v", "w"]) == {"v": StoredState(b"3", 5)}
    assert await states.put_many([StateUpdate("w", b"2", 5, 0, await states.generation())]) == set()


async def left(journal, *user_ids):
    """The event ids (or types) that are left of users, after a sweep of the journal in pages of 3."""
    seq = 0
    while seq is not None:
        seq = await journal.retire(seq, before=BEFORE, at=NOW, limit=3)
    read = await journal.entries(dict.fromkeys(user_ids, 0))
    return {user_id: [one.event or str(one.type) for one in own] for user_id, own in read.items()}


NOW, BEFORE = 2_000 * DAY_US, 900 * DAY_US


def old(event_id, user_id="u", *, day, received=None, kind="", **fields):
    """A fact of a day, received then, whose ``event`` says what it is."""
    received_at = (day if received is None else received) * DAY_US
    event = f"{kind}{event_id}" if kind != "impression" else kind
    return fact(event_id, user_id, day * DAY_US, event=event, received_at=received_at, **fields)


async def test_an_old_event_goes_once_the_state_has_let_go_of_it_and_the_first_stays(journal):
    days = {"first": 10, "second": 11, "a": 700, "b": 899, "young": 900, "last": 1_631}
    await journal.append([old(name, day=day) for name, day in days.items()])
    assert await left(journal, "u") == {"u": ["first", "young", "last"]}


async def test_an_old_event_that_the_state_may_still_hold_stays(journal):
    days = {"first": 10, "second": 300, "third": 301, "last": 1_030}  # 301 is 729 days before, 300 730
    await journal.append([old(name, day=day) for name, day in days.items()])
    assert await left(journal, "u") == {"u": ["first", "second", "third", "last"]}
    await journal.append([old("later", day=1_031)])
    assert await left(journal, "u") == {"u": ["first", "third", "last", "later"]}


async def test_impressions_go_as_others_do_and_the_last_activity_stays(journal):
    await journal.append([old("first", day=10), old("last", day=20), old("i", day=30, kind="impression")])
    await journal.append([old("j", day=1_500, kind="impression")])
    assert await left(journal, "u") == {"u": ["first", "last", "impression"]}
    assert (await journal.entries({"u": 0}))["u"][-1].occurred_at == 1_500 * DAY_US


async def test_all_events_of_a_user_who_is_gone_go_and_a_fact_says_so(journal):
    profile = Fact(FactType.PROFILE, "u", DAY_US, DAY_US, body="{}")
    events = [old("a", day=10), old("b", day=899), old("c", "v", day=10), old("d", "v", day=900)]
    await journal.append([events[0], profile, *events[1:]])
    assert await left(journal, "u", "v") == {"u": ["profile", "retired"], "v": ["c", "d"]}
    assert await journal.last_seq() == 6
    assert await left(journal, "u") == {"u": ["profile", "retired"]}


async def test_an_event_received_lately_stays_however_long_ago_it_occurred(journal):
    await journal.append([old("a", day=1, received=1_999), old("b", day=10, received=1_999), old("c", day=1_999)])
    assert await left(journal, "u") == {"u": ["a", "b", "c"]}


async def test_a_replaced_profile_goes_when_it_is_old_and_the_one_in_force_never(journal):
    at = [(1, '{"n": 1}'), (2, '{"n": 2}'), (899, '{"n": 3}')]
    await journal.append([Fact(FactType.PROFILE, "u", day * DAY_US, day * DAY_US, body=body) for day, body in at])
    assert await left(journal, "u") == {"u": ["profile"]}
    assert (await journal.held("u")).profile == {"n": 3}


async def test_flags_that_protect_outlive_the_profile_that_set_them(journal):
    at = [(1, '{"is_minor": true}'), (2, '{"n": 2}'), (899, '{"is_minor": null, "n": 3}')]
    await journal.append([Fact(FactType.PROFILE, "u", day * DAY_US, day * DAY_US, body=body) for day, body in at])
    assert await left(journal, "u") == {"u": ["profile"]}
    assert (await journal.held("u")).profile == {"is_minor": True, "n": 3}


async def test_of_a_user_who_is_erased_retention_says_nothing(database, journal):
    await journal.append([old("a", day=1)])
    await SqlErasures(database).begin("u", 7)
    assert await left(journal, "u") == {}
    await journal.erase("u")
    assert await journal.held("u") is None


async def test_keys_are_deleted_some_time_after_they_ended(database):
    keys = SqlKeys(database)
    ends = [{}, {"revoked_at": 4}, {"revoked_at": 5}, {"expires_at": 4}, {"expires_at": 5}]
    for n, end in enumerate(ends):
        await keys.add(StoredKey(str(n), "app", frozenset({"score"}), 1, **end))
    await keys.purge(5)
    assert [n for n in range(5) if await keys.find(str(n))] == [0, 2, 4]

"""What a recommender reads and writes, on the real servers: a user's events, wishes, changes of notes, and its log."""

import json

import pytest

from features.sources import Dataset
from serving.export import export_events
from serving.store.catalogue import NoteRead
from serving.store.journal import Fact, FactType, Hide, NoteEvent, Wishes
from serving.store.notes import Note
from serving.store.recommendations import Rate, Recommendation, RecommendationsHeld
from serving.store.sql_catalogue import SqlCatalogue
from serving.store.sql_erasures import SqlErasures
from serving.store.sql_journal import SqlJournal
from serving.store.sql_notes import SqlNotes
from serving.store.sql_recommendations import SqlRecommendations

pytestmark = pytest.mark.anyio


def event(event_id, kind="click", note_id=None, at=1, user_id="u", **fields):
    return Fact(FactType.EVENT, user_id, at, received_at=9, event_id=event_id, event=kind, note_id=note_id, **fields)


def said(kind, at, **body):
    return Fact(kind, "u", at, received_at=at, body=json.dumps(body))


async def test_a_user_s_note_events_come_by_when_they_happened(journal):
    late = event("c", note_id="n0", at=1)
    await journal.append([event("a", note_id="n1", at=5), event("b", "read", "n2", at=7), late, event("d", "open")])
    await journal.append([event("e", note_id="other", user_id="v")])
    expected = [NoteEvent("click", "n0", 1), NoteEvent("click", "n1", 5), NoteEvent("read", "n2", 7)]
    assert await journal.note_events("u", before=None, limit=9) == expected
    assert await journal.note_events("u", before=7, limit=9) == expected[:2]
    assert await journal.note_events("u", before=None, limit=2) == [expected[0], expected[2]]
    assert await journal.note_events("nobody", before=None, limit=9) == []


async def test_hides_name_notes_and_authors(journal):
    await journal.append([event("a", note_id="n1"), event("b", "hide", "n2"), event("c", "hide", target_user_id="ann")])
    assert await journal.hides("u", before=None) == [Hide("n2", None), Hide(None, "ann")]
    assert await journal.hides("v", before=None) == []


async def test_the_last_profile_and_each_deleted_interest_hold(journal):
    assert await journal.wishes("u") == Wishes(personalisation_opt_out=False, deleted_interests={})
    await journal.append([said(FactType.PROFILE, 1, personalisation_opt_out=True), event("a")])
    await journal.append([said(FactType.INTEREST, 2, deleted="tea"), said(FactType.INTEREST, 3, deleted="food")])
    assert await journal.wishes("u") == Wishes(personalisation_opt_out=True, deleted_interests={"tea": 2, "food": 3})
    await journal.append([said(FactType.PROFILE, 4, personalisation_opt_out=False)])
    assert not (await journal.wishes("u")).personalisation_opt_out


@pytest.fixture
async def notes(database):
    return SqlNotes(database)


@pytest.fixture
async def catalogue(database):
    return SqlCatalogue(database)


async def put(notes, note_id, **fields):
    return await notes.put(Note(note_id, "", fields.pop("body", "text"), **fields), signature=b"", at=5)


async def test_each_note_s_last_change_is_told_once(notes, catalogue):
    for note_id in ("a", "b"):
        await put(notes, note_id, author_id="ann", category="food")
    first = await catalogue.changes(0, limit=9)
    assert [(one.note_id, one.author_id, one.category, one.known_since) for one in first] == [
        ("a", "ann", "food", 5), ("b", "ann", "food", 5),
    ]  # fmt: skip
    await put(notes, "a", body="more")
    await put(notes, "b", author_id="ann", category="food")  # the same again
    assert [one.note_id for one in await catalogue.changes(first[-1].change_no, limit=9)] == ["a"]
    assert [one.note_id for one in await catalogue.changes(0, limit=9)] == ["b", "a"]
    assert [one.note_id for one in await catalogue.changes(0, limit=1)] == ["b"]


async def test_a_note_that_goes_leaves_a_hash_until_it_is_put_again(notes, catalogue):
    await put(notes, "a")
    await notes.delete("a")
    (gone,) = await catalogue.changes(0, limit=9)
    assert (gone.note_id, [gone.note_hash]) == (None, await catalogue.hashes(["a"]))
    await put(notes, "a")
    (back,) = await catalogue.changes(0, limit=9)
    assert (back.note_id, back.note_hash) == ("a", None)
    assert back.note_no > gone.note_no


async def test_what_was_read_is_kept_unless_the_note_has_changed(notes, catalogue):
    for note_id in ("a", "b"):
        await put(notes, note_id)
    first, second = await catalogue.unread("model", at=1, limit=9)
    await put(notes, "b", body="other")
    read = [NoteRead(one.note_no, one.change_no, b"v", 40.0, withheld=True) for one in (first, second)]
    await catalogue.put_read("model", read)
    changes = {one.note_id: one for one in await catalogue.changes(0, limit=9)}
    assert changes["a"][-5:-1] == ("model", b"v", 40.0, True)
    assert changes["b"][-5:-1] == (None, None, None, False)
    assert [one.note_id for one in await catalogue.unread("model", at=1, limit=9)] == ["b"]
    assert [one.note_id for one in await catalogue.unread("newer", at=1, limit=9)] == ["b", "a"]


def shown(recommendation_id, place=0, at=10, user_id="u", note_id="n", source="similar", arm="exploit"):
    return Recommendation(recommendation_id, place, at, user_id, note_id, source, arm, "home", 0.5, "1", "d")


@pytest.fixture
async def log(database):
    return SqlRecommendations(database)


async def test_rates_count_what_later_events_say_of_a_recommendation(journal, log):
    await log.add(
        [shown("r1", place, note_id=f"n{place}", source="content" if place else "similar") for place in (0, 1, 2)]
    )
    await log.add([shown("r2", at=20), shown("r3", at=30)])
    await journal.append(
        [
            event("a", "impression", "n0", recommendation_id="r1"),
            event("b", "collect", "n1", recommendation_id="r1"),  # a click, and so an exposure
            event("c", "like", "n1", recommendation_id="r1"),  # of the same recommendation
            event("d", "hide", "n2", recommendation_id="r1"),
            event("e", "click", "elsewhere", recommendation_id="r1"),
            event("f", "click", "n", recommendation_id="unknown"),
        ]
    )
    assert await log.rates("source", since=0, before=30) == [Rate("content", 2, 1, 1), Rate("similar", 2, 1, 0)]
    assert await log.rates("arm", since=10, before=11) == [Rate("exploit", 3, 2, 1)]
    assert await log.rates("version", since=40, before=50) == []


async def test_the_log_is_read_page_by_page(log):
    every = [shown("r1", 1), shown("r1", 2), shown("r2", 0)]
    await log.add(every)
    assert await log.page(("", 0), limit=2) == every[:2]
    assert await log.page(("r1", 2), limit=2) == every[2:]


async def test_old_recommendations_go(log):
    await log.add([shown(f"r{at}", at=at) for at in (1, 2, 3)])
    assert (await log.retire(3, limit=1), await log.retire(3, limit=9), await log.retire(3, limit=9)) == (1, 1, 0)
    assert [one.recommendation_id for one in await log.page(("", 0), limit=9)] == ["r3"]


async def test_nothing_is_kept_of_an_erased_user(database, log):
    await log.add([shown("r1", at=1), shown("r2", at=3), shown("r3", user_id="v"), shown("r4", user_id=None)])
    assert await log.held("u") == RecommendationsHeld(2, 1, 3)
    await SqlErasures(database).begin("u", 5)
    await log.erase("u")
    await log.add([shown("r5"), shown("r6", user_id="v")])
    assert await log.held("u") is None
    assert [one.recommendation_id for one in await log.page(("", 0), limit=9)] == ["r3", "r4", "r6"]


async def test_what_was_recommended_is_exported_in_the_contract(journal, log, tmp_path):
    await journal.append([event("a", note_id="n", at=1_000_000, recommendation_id="r1")])
    await log.add([shown("r1", at=1_000_000), shown("r2", at=9_000_000, user_id=None)])
    async for _ in export_events(journal, log, tmp_path / "out", since=0, now=5_000_000):
        pass
    exported = Dataset(tmp_path / "out", now=6_000_000).connection
    rows = exported.execute("SELECT recommendation_id, place, user_id, propensity FROM recommendations").fetchall()
    assert rows == [("r1", 0, "u", 0.5)]


def hide(number, user_id="u"):
    return event(f"{user_id}{number}", "hide", f"h{number}", user_id=user_id)


async def test_of_many_hides_only_new_ones_are_read_again(database, journal):
    await journal.append([hide(number) for number in range(500)])
    first = await journal.hides("u", before=None)
    assert first == [Hide(f"h{number}", None) for number in range(500)]
    assert all(
        one is two for one, two in zip(await journal.hides("u", before=None), first, strict=True)
    )  # not read again
    await SqlJournal(database).append([hide(number) for number in range(500, 800)])  # by another server
    more = await journal.hides("u", before=None)
    assert more == [Hide(f"h{number}", None) for number in range(800)]
    assert more[0] is first[0]


async def test_hides_that_went_with_their_user_are_hidden_no_more(database, journal):
    await journal.append([hide(number) for number in range(300)])
    assert len(await journal.hides("u", before=None)) == 300
    await SqlJournal(database).erase("u")  # by another server
    assert await journal.hides("u", before=None) == []
    await journal.append([hide(number) for number in range(300, 310)])
    assert await journal.hides("u", before=None) == [Hide(f"h{number}", None) for number in range(300, 310)]


@pytest.mark.slow
async def test_the_hides_of_many_users_are_not_kept_for_ever(journal):
    for user_id in ("a", "b"):
        for start in range(0, 150_000, 30_000):
            await journal.append([hide(number, user_id) for number in range(start, start + 30_000)])
    first = await journal.hides("a", before=None)
    assert len(await journal.hides("b", before=None)) == 150_000
    again = await journal.hides("a", before=None)
    assert again == first
    assert again[0] is not first[0]

"""What every note store must do, on the real servers."""

import pytest

from features.similarity import signature
from serving.store.notes import Note, NotesHeld
from serving.store.sql_notes import SqlNotes

pytestmark = pytest.mark.anyio

COFFEE = "这家小店藏在巷子里，手冲咖啡很香，靠窗的位置能看到老树。人均四十，适合一个人看书，周末人多要早到。"
RAIN = "昨天下了一整天的雨，晚上在家煮了一锅番茄牛腩，看了两部老电影，睡得特别好，今天精神满满地去上班。"


@pytest.fixture
def notes(database):
    return SqlNotes(database)


def note(note_id="n1", body=COFFEE, **fields):
    return Note(note_id, fields.pop("title", ""), body, **fields)


async def put(notes, one, at=1):
    return await notes.put(one, signature=signature(f"{one.title}\n{one.body}"), at=at)


async def alike(notes, *texts, limit=5):
    found = await notes.alike([signature(text) for text in texts], at_least=0.7, limit=limit)
    return [[one.note_id for one in own] for own in found]


async def test_a_note_comes_back_as_it_was_put(notes):
    whole = note(title="周末", author_id="a", topics=["咖啡", "探店"], category="food", n_images=3, published_at=7)
    stored = await put(notes, whole, at=9)
    assert stored.note == whole
    assert (stored.revision, stored.stored_at, stored.updated_at, stored.known_since) == (1, 9, 9, 7)
    assert await notes.get_many(["n1", "n2"]) == {"n1": stored}
    assert (await put(notes, note("n2"), at=9)).known_since == 9


async def test_the_same_content_is_the_same_revision_and_another_is_the_next(notes):
    first = await put(notes, note(), at=1)
    assert await put(notes, note(), at=2) == first
    second = await put(notes, note(category="food"), at=3)
    assert (second.revision, second.stored_at, second.updated_at) == (2, 1, 3)
    assert second.digest != first.digest
    assert (await put(notes, note(), at=4)).digest == first.digest


@pytest.mark.parametrize("body", ["", "\x00\x01\x1b", "😀👨‍👩‍👧", "\u202eقلب", "a" * 20_000, "\"'\\%{}"])
async def test_any_text_is_kept_to_the_character(notes, body):
    await put(notes, note(body=body, title=body[:200]))
    found = (await notes.get_many(["n1"]))["n1"].note
    assert (found.title, found.body) == (body[:200], body)


async def test_a_deleted_note_is_gone_and_no_longer_alike(notes):
    await put(notes, note())
    assert await notes.delete("n1")
    assert not await notes.delete("n1")
    assert await notes.get_many(["n1"]) == {}
    assert await alike(notes, COFFEE) == [[]]


async def test_near_copies_are_found_the_likest_first_and_then_the_oldest(notes):
    await put(notes, note("late", published_at=30))
    await put(notes, note("early", published_at=10))
    await put(notes, note("changed", COFFEE.replace("四十", "五十"), published_at=5))
    await put(notes, note("other", RAIN))
    assert await alike(notes, COFFEE, RAIN, "", "别的内容") == [["early", "late", "changed"], ["other"], [], []]
    assert await alike(notes, COFFEE, limit=1) == [["early"]]
    (found,) = await notes.alike([signature(RAIN)], at_least=0.7, limit=5)
    assert [one.similarity for one in found] == [1.0]


async def test_an_edited_note_is_found_by_its_new_text_alone(notes):
    await put(notes, note())
    await put(notes, note(body=RAIN))
    assert await alike(notes, COFFEE, RAIN) == [[], ["n1"]]


async def test_of_a_thousand_copies_the_first_stored_are_found(notes):
    for n in range(40):
        await put(notes, note(f"copy-{n:02}"), at=n)
    assert await alike(notes, COFFEE) == [[f"copy-{n:02}" for n in range(5)]]


async def test_another_server_sees_a_near_copy_at_once(notes, database):
    await put(notes, note())
    assert await alike(SqlNotes(database), COFFEE) == [["n1"]]


async def test_near_copies_are_looked_for_among_the_newest_notes(notes):
    for n in range(6):
        await put(notes, note(f"n{n}"))
    assert [await notes.forget_alike(keep=2, limit=3) for _ in range(3)] == [3, 1, 0]
    assert await alike(notes, COFFEE) == [["n4", "n5"]]
    assert len(await notes.get_many([f"n{n}" for n in range(6)])) == 6


async def test_ids_page_through_all_notes(notes):
    for n in range(5):
        await put(notes, note(f"n{n}"))
    first = await notes.ids("", limit=2)
    assert first + await notes.ids(first[-1], limit=9) == [f"n{n}" for n in range(5)]
    assert await notes.count() == 5


async def test_notes_that_nobody_changed_for_long_are_retired(notes):
    for n in range(4):
        await put(notes, note(f"n{n}"), at=n)
    assert [await notes.retire(3, limit=2) for _ in range(3)] == [2, 1, 0]
    assert await notes.ids("", limit=9) == ["n3"]
    assert await alike(notes, COFFEE) == [["n3"]]


async def test_what_is_held_of_an_author_can_be_erased_and_others_stay(notes):
    for n in range(450):
        await put(notes, note(f"a{n}", RAIN[n % 40 :], author_id="a"), at=n)
    await put(notes, note("b1", author_id="b"), at=5)
    assert await notes.held("a") == NotesHeld(n_notes=450, first_at=0, last_at=449)
    await notes.erase("a")
    await notes.erase("a")
    assert (await notes.held("a"), await notes.held("nobody")) == (None, None)
    assert await notes.ids("", limit=9) == ["b1"]
    assert await alike(notes, RAIN, COFFEE) == [[], ["b1"]]

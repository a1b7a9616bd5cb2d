"""Lists of notes: what every store of their scores must do, and how the lists answer over HTTP."""

import random

import pytest

from serving.__main__ import main
from serving.store.note_scores import NewNoteScore, NoteQuery, NoteRun, ScoredLabel
from serving.store.notes import Note
from serving.store.sql_note_scores import SqlNoteScores
from serving.store.sql_notes import SqlNotes

RUN = NoteRun(as_of=10, version="1", digest="d")


@pytest.fixture
def notes(database):
    return SqlNotes(database)


@pytest.fixture
def scores(database):
    return SqlNoteScores(database)


def score(note_id, quality=50.0, spam=0.1, **fields):
    labels = [] if quality is None else [ScoredLabel("spam", "harm", spam, 0.5, spam >= 0.5)]
    decision = "review" if spam >= 0.5 else "pass"
    given = {"revision": 1, "author_id": None, "category": None, "known_since": 0, "decision": decision} | fields
    return NewNoteScore(note_id=note_id, quality=quality, labels=labels, **given)


@pytest.fixture
def keep(notes, scores):
    """Stores notes with their scores."""

    async def keep(*new, run=RUN):
        for one in new:
            await notes.put(Note(one.note_id, "", "x", author_id=one.author_id), signature=b"\xff" * 512, at=1)
        await scores.put_many(run, new)

    return keep


async def ids(scores, limit=100, **wanted):
    found = await scores.page(NoteQuery(**{"sort": "quality"} | wanted), after=None, limit=limit)
    return [one.note_id for one in found.notes]


@pytest.mark.anyio
async def test_a_listed_note_has_all_that_was_put(keep, scores):
    new = score("n", 12.5, 0.75, revision=3, author_id="a", category="c", known_since=7)
    await keep(new)
    page = await scores.page(NoteQuery("quality"), after=None, limit=9)
    (listed,) = page.notes
    assert listed == (*new[:7], RUN, new.labels)
    assert page.reached is None


@pytest.mark.anyio
async def test_every_filter_and_order(keep, scores):
    await keep(
        score("a", 90, 0.1, author_id="x", category="food", known_since=1),
        score("b", 40, 0.6, author_id="y", category="food", known_since=2),
        score("c", 10, 0.9, author_id="x", category="beauty", known_since=3),
    )
    for wanted, expected in [
        ({}, "abc"),
        ({"descending": False}, "cba"),
        ({"sort": "known_since"}, "cba"),
        ({"sort": "probability", "label": "spam"}, "cba"),
        ({"sort": "probability", "label": "spam", "descending": False}, "abc"),
        ({"sort": "probability", "label": "unheard-of"}, ""),
        ({"min_quality": 40}, "ab"),
        ({"max_quality": 40}, "bc"),
        ({"label": "spam", "min_probability": 0.6}, "bc"),
        ({"label": "spam", "max_probability": 0.6}, "ab"),
        ({"label": "spam", "flagged": True}, "bc"),
        ({"label": "spam", "flagged": False}, "a"),
        ({"decision": "review"}, "bc"),
        ({"category": "food"}, "ab"),
        ({"author_id": "x"}, "ac"),
        ({"since": 2}, "bc"),
        ({"before": 2}, "a"),
        ({"sort": "known_since", "since": 2, "author_id": "x"}, "c"),
        ({"sort": "probability", "label": "spam", "min_quality": 40, "category": "food"}, "ba"),
    ]:
        assert "".join(await ids(scores, **wanted)) == expected, wanted


@pytest.mark.anyio
@pytest.mark.parametrize("sort", ["quality", "probability", "known_since"])
@pytest.mark.parametrize("descending", [True, False])
async def test_pages_meet_every_note_once_in_order(keep, scores, sort, descending):
    rng = random.Random(1)
    await keep(*(score(f"n{n}", rng.randrange(5), rng.randrange(5) / 5, known_since=n % 5) for n in range(60)))
    query, place, met = NoteQuery(sort, descending, label="spam", max_quality=3), None, []
    while True:
        page = await scores.page(query, after=place, limit=7)
        met += page.notes
        if (place := page.reached) is None:
            break
    assert len({one.note_id for one in met}) == len(met) == sum(one.quality <= 3 for one in met)
    keys = [one.labels[0].probability if sort == "probability" else getattr(one, sort) for one in met]
    assert keys == sorted(keys, reverse=descending)
    assert {one.note_id for one in met} == {*await ids(scores, max_quality=3)}


@pytest.mark.slow
@pytest.mark.anyio
async def test_a_page_stops_looking_where_matches_are_rare(keep, scores):
    new = [score(f"n{n:04}", n / 100, author_id="rare" if n == 0 else "usual") for n in range(5_500)]
    for start in range(0, len(new), 500):
        await keep(*new[start : start + 500])
    query = NoteQuery("known_since", author_id="rare")
    first = await scores.page(query, after=None, limit=5)
    assert (first.notes, first.reached) == ([], (0, "n0500"))
    last = await scores.page(query, after=first.reached, limit=5)
    assert ([one.note_id for one in last.notes], last.reached) == (["n0000"], None)


@pytest.mark.anyio
async def test_a_later_run_takes_the_place_of_an_earlier_and_not_the_other_way_round(keep, scores):
    await keep(score("n", 10))
    await keep(score("n", 90), run=RUN._replace(as_of=20, version="2"))
    await keep(score("n", 50), run=RUN._replace(as_of=15))
    (listed,) = (await scores.page(NoteQuery("quality"), after=None, limit=9)).notes
    assert (listed.quality, listed.run.version) == (90, "2")


@pytest.mark.anyio
async def test_a_note_that_lost_its_text_is_no_longer_listed(keep, scores):
    await keep(score("n", 10))
    await keep(score("n", None), run=RUN._replace(as_of=20))
    assert await ids(scores) == []


@pytest.mark.anyio
async def test_scores_go_with_their_note_and_do_not_come_back(keep, notes, scores):
    await keep(score("n"), score("m", author_id="a"), score("o"))
    await notes.delete("n")
    await notes.erase("a")
    await scores.put_many(RUN._replace(as_of=20), [score("n"), score("m"), score("o")])
    assert await ids(scores) == ["o"]


@pytest.fixture
def scored(world, monkeypatch):
    """A client of a server whose notes were put and then scored by the command."""
    world.registry.release_quality()
    monkeypatch.setenv("MINGJIAN_DATA_DIR", str(world.settings.data_dir))
    with world.open() as client:
        for n in range(5):
            body = {
                "body": "今天加微信" if n % 2 else f"第{n}篇：今天天气很好",
                "author_id": f"a{n}",
                "category": "food",
            }
            assert client.put(f"/v1/notes/n{n}", json=body).status_code == 200
        client.put("/v1/notes/empty", json={"body": ""})
        assert main(["score-notes"]) == 0
        yield client


def listed(client, **wanted):
    answer = client.get("/v1/notes", params=wanted)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_notes_that_need_eyes_are_listed_with_what_scoring_them_answers(scored):
    answer = listed(scored, decision="review", sort="known_since", order="asc")
    assert ([one["note_id"] for one in answer["results"]], answer["has_more"]) == (["n1", "n3"], False)
    first = answer["results"][0]
    scores = scored.post("/v1/notes:score", json={"notes": [{"note_id": "n1"}]}).json()
    (asked,) = scores["results"]
    assert first["model"] == {name: scores["model"][name] for name in ("name", "version", "digest")}
    assert first["quality"] == asked["quality"]
    assert sorted(map(str, first["labels"])) == sorted(map(str, asked["labels"]))
    assert (first["author_id"], first["category"], first["known_since"]) == ("a1", "food", "2025-05-01T12:00:00Z")


def test_a_list_goes_on_from_its_cursor(scored):
    whole = [one["note_id"] for one in listed(scored)["results"]]
    first = listed(scored, limit=3)
    rest = listed(scored, limit=3, cursor=first["next_cursor"])
    assert [one["note_id"] for page in (first, rest) for one in page["results"]] == whole
    assert (first["has_more"], rest["has_more"], rest["next_cursor"]) == (True, False, None)
    assert {*whole} == {f"n{n}" for n in range(5)}


def test_with_a_label_the_likeliest_come_first(scored):
    answer = listed(scored, label="spam", min_probability=0.5)
    probabilities = [label["probability"] for one in answer["results"] for label in one["labels"] if label["flagged"]]
    assert len(probabilities) == 2


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({"flagged": True}, "label_needed"),
        ({"min_probability": 0.1}, "label_needed"),
        ({"sort": "probability"}, "label_needed"),
        ({"cursor": "eHh4"}, "bad_cursor"),
        ({"limit": 101}, "less_than_equal"),
        ({"min_quality": 101}, "less_than_equal"),
        ({"colour": "red"}, "extra_forbidden"),
    ],
)
def test_what_can_not_be_listed_is_refused(scored, wanted, code):
    answer = scored.get("/v1/notes", params=wanted)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, code)


def test_another_lists_cursor_is_refused(scored):
    cursor = listed(scored, limit=1)["next_cursor"]
    answer = scored.get("/v1/notes", params={"cursor": cursor, "limit": 1, "order": "asc"})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "bad_cursor")


def test_without_a_model_notes_can_not_be_scored(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MINGJIAN_DATA_DIR", str(tmp_path))
    assert main(["score-notes"]) == 2
    assert "no quality model to score with: none has been released" in capsys.readouterr().err


def test_everyone_scored_every_note_is_scored_too(world, monkeypatch, tmp_path, capsys):
    world.registry.release()
    world.registry.release_quality()
    monkeypatch.setenv("MINGJIAN_DATA_DIR", str(world.settings.data_dir))
    with world.open() as client:
        client.put("/v1/notes/n1", json={"body": "今天加微信"})
        assert main(["score-all", "--out", str(tmp_path / "out")]) == 0
        assert [one["note_id"] for one in listed(client)["results"]] == ["n1"]
    assert "every note is scored" in capsys.readouterr().err

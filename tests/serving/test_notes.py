"""Notes over HTTP: stored, given back, scored; what is asked of them in every odd shape."""

import pytest

from features.text.findings import FINDINGS
from serving.policies.live import shipped_policy

CLEAN = "这家小店藏在巷子里，手冲咖啡很香，靠窗的位置能看到老树。人均四十，适合一个人看书，周末人多要早到。"


@pytest.fixture(params=["sqlite", "postgres"])
def client(request, world):
    """A client of an app with a quality champion alone, on each database."""
    world.registry.release_quality()
    changed = {}
    if request.param == "postgres":
        world.settings = world.settings.model_validate(
            {**dict(world.settings), "journal_url": request.getfixturevalue("postgres_url")}
        )
    with world.open(**changed) as client:
        yield client


@pytest.fixture
def put(client):
    def put(note_id="n1", **fields):
        answer = client.put(f"/v1/notes/{note_id}", json={"body": CLEAN} | fields)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return put


@pytest.fixture
def score(client):
    def score(*notes, **fields):
        answer = client.post("/v1/notes:score", json={"notes": notes} | fields)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return score


def test_a_note_is_given_back_as_it_was_put(client, put):
    fields = {"title": "周末", "author_id": "u1", "topics": ["咖啡"], "category": "food", "n_images": 2}
    stored = put(**fields, published_at="2025-04-30T08:00:00+08:00")
    got = client.get("/v1/notes/n1").json()
    assert {name: got[name] for name in fields} == fields
    assert (got["body"], got["published_at"], got["stored_at"]) == (
        CLEAN,
        "2025-04-30T00:00:00Z",
        "2025-05-01T12:00:00Z",
    )
    assert (got["revision"], got["digest"]) == (stored["revision"], stored["digest"])


def test_the_same_note_again_is_the_same_revision(put):
    first, again, changed = put(), put(), put(title="x")
    assert (first["revision"], again["revision"], changed["revision"]) == (1, 1, 2)
    assert first["digest"] == again["digest"] != changed["digest"]


def test_a_deleted_note_is_gone(client, put):
    put()
    assert [client.delete("/v1/notes/n1").json()["existed"] for _ in range(2)] == [True, False]
    assert client.get("/v1/notes/n1").json()["code"] == "not_found"


@pytest.mark.parametrize(("field", "longest"), [("title", 200), ("body", 20_000)])
def test_a_longer_text_is_refused_as_too_long(client, put, field, longest):
    put(**{field: "字" * longest})
    answer = client.put("/v1/notes/n1", json={"body": "x"} | {field: "字" * (longest + 1)})
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert (error["pointer"], error["code"]) == (f"/{field}", "too_long")
    assert "字" not in answer.text


@pytest.mark.parametrize(("field", "longest"), [("title", 11), ("body", 1_111)])
def test_characters_that_stand_for_several_count_as_those(client, put, score, field, longest):
    at_most, more = ({"body": "x", field: "\ufdfa" * n} for n in (longest, longest + 1))  # 18 characters each
    put(**at_most)
    answer = client.put("/v1/notes/n1", json=more)
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["pointer"], error["code"]) == (422, f"/{field}", "too_long")
    results = score({"note_id": "n1"}, at_most, more)["results"]
    assert [one.get("code", one["status"]) for one in results] == ["scored", "scored", "too_long"]


@pytest.mark.parametrize("published_at", ["1969-12-31T23:59:59Z", "2025-05-01T12:05:01Z"])
def test_a_note_can_not_be_published_before_1970_or_in_the_future(client, published_at):
    answer = client.put("/v1/notes/n1", json={"body": "x", "published_at": published_at})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/published_at")


def test_each_note_has_labels_a_quality_a_decision_and_reasons(put, score):
    put(body="今天加微信")
    answer = score({"note_id": "n1"}, {"body": CLEAN})
    assert (answer["model"]["name"], answer["policy_version"], answer["degraded"]) == (
        "quality",
        shipped_policy().version,
        [],
    )
    assert answer["features_as_of"] == "2025-05-01T12:00:00Z"
    spam, clean = answer["results"]
    assert [(one["label"], one["kind"], one["threshold"], one["flagged"]) for one in spam["labels"]] == [
        ("spam", "harm", 0.5, True),
        ("useful", "merit", 0.5, False),
        ("story", "neutral", 0.5, False),
    ]
    assert (spam["note_id"], spam["revision"], spam["status"], spam["decision"]) == ("n1", 1, "scored", "review")
    assert (clean["note_id"], clean["revision"], clean["decision"]) == (None, None, "pass")
    assert [one["decision_rule"]["rule"] for one in (spam, clean)] == ["flagged_harm", "sound"]
    assert not any(one["flagged"] for one in clean["labels"])
    assert 0 <= spam["quality"] < clean["quality"] <= 100


def test_the_first_reason_is_the_flagged_label_and_the_others_are_places_in_the_original(score):
    body = "今天加微❤13800000000聊"
    (result,) = score({"title": "震惊", "body": "今天加微信" * 2 + body})["results"]
    first, *places = result["reasons"]
    assert (first["code"], first["field"]) == ("label_spam", None)
    assert first["zh"].startswith("“广告引流”的概率为 ")
    assert {"contact", "phone_number"} <= {one["code"] for one in places} <= set(FINDINGS)
    (phone,) = (one for one in places if one["code"] == "phone_number")
    assert ("今天加微信" * 2 + body)[phone["start"] : phone["end"]] == "13800000000"
    assert (phone["zh"], phone["en"]) == FINDINGS["phone_number"]


def test_a_code_names_at_most_five_places(score):
    (result,) = score({"body": "。".join(f"价格{n}元" for n in range(40))})["results"]
    assert [one["code"] for one in result["reasons"]].count("price") == 5


def test_one_entry_that_can_not_be_answered_spoils_no_other(put, score):
    put()
    results = score({"note_id": "unheard-of"}, {"note_id": "n1"}, {"body": "字" * 20_001})["results"]
    assert [(one["note_id"], one["status"], one.get("code")) for one in results] == [
        ("unheard-of", "problem", "unknown_note"),
        ("n1", "scored", None),
        (None, "problem", "too_long"),
    ]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("", "no_text"),
        (" \n\t　", "no_text"),
        ("\u200b\u200d\ufeff", "no_text"),
        ("😀😀😀😀😀😀", "scored"),
        ("Only English words here.", "scored"),
        ("مرحبا بالعالم", "scored"),
        ("\u202eאבג\u202c", "scored"),
        ("\x00\x01\x02微\x1b信", "scored"),
        ("字" * 20_000, "scored"),
        ("\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16") * 10_000, "scored"),
    ],
)
def test_any_text_has_a_defined_answer_stored_or_not(put, score, body, status):
    put(body=body)
    stored, given = score({"note_id": "n1"}, {"body": body})["results"]
    assert (stored["status"], given["status"]) == (status, status)
    assert stored["labels"] == given["labels"]
    if status == "no_text":
        assert (given["labels"], given["quality"], given["decision"]) == ([], None, "pass")
        assert [one["code"] for one in given["reasons"]] == ["no_text"]
        assert given["near_duplicates"] == []
    for reason in given["reasons"]:
        assert reason["start"] is None or 0 <= reason["start"] <= reason["end"] <= len(body)


def test_an_answer_does_not_depend_on_who_else_is_asked_about(put, score):
    texts = [CLEAN, "今天加微信", "攻略" * 300, "😀", "昨天" + CLEAN]
    together = score(*({"body": text} for text in texts))["results"]
    alone = [score({"body": text})["results"][0] for text in texts]
    assert together == alone


def test_scoring_stores_nothing(client, score):
    score({"note_id": "n1", "body": CLEAN})
    assert client.get("/v1/notes/n1").status_code == 404
    assert score({"body": CLEAN})["results"][0]["near_duplicates"] == []


def test_near_duplicates_say_how_alike_who_was_first_and_whether_the_author_is_the_same(put, score):
    put("first", author_id="a", published_at="2025-04-01T00:00:00Z")
    put("second", author_id="b", published_at="2025-04-02T00:00:00Z")
    put("other", body="昨天下了一整天的雨，晚上在家煮了一锅番茄牛腩，看了两部老电影，睡得特别好。")
    (mine,) = score({"note_id": "second"})["results"]
    (found,) = mine["near_duplicates"]
    assert (found["note_id"], found["similarity"]) == ("first", 1.0)
    assert (found["earlier"], found["same_author"]) == (True, False)
    assert (found["zh"], found["en"]) == (
        "相似度 1.00，对方发布更早，另一作者",
        "Similarity 1.00, published earlier by another author",
    )
    (given,) = score({"body": CLEAN, "author_id": "a", "published_at": "2025-03-01T00:00:00Z"})["results"]
    assert [(one["note_id"], one["earlier"], one["same_author"]) for one in given["near_duplicates"]] == [
        ("first", False, True),
        ("second", False, False),
    ]
    (unknown,) = score({"body": CLEAN})["results"]
    assert [one["same_author"] for one in unknown["near_duplicates"]] == [None, None]


def test_a_disguised_copy_is_a_near_duplicate_and_a_deleted_note_is_not(client, put, score):
    put("first")
    (copy,) = score({"title": "我写的", "body": "​".join(CLEAN)})["results"]
    assert [one["note_id"] for one in copy["near_duplicates"]] == ["first"]
    client.delete("/v1/notes/first")
    assert score({"body": CLEAN})["results"][0]["near_duplicates"] == []


def test_explained_notes_name_the_words_that_made_them_be_flagged(score):
    body = "今天下雨，加微信聊聊。"
    (result, clean) = score({"body": body}, {"body": CLEAN}, explain=True)["results"]
    heaviest = result["words"][0]
    assert (heaviest["label"], heaviest["field"]) == ("spam", "body")
    assert body[heaviest["start"] : heaviest["end"]] == "加微信"
    assert heaviest["contribution"] > 0
    assert (len(result["words"]) <= 10, clean["words"]) == (True, [])


def test_at_most_five_notes_are_explained(client):
    answer = client.post("/v1/notes:score", json={"notes": [{"body": "x"}] * 6, "explain": True})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "too_many_to_explain")


@pytest.mark.parametrize(
    "notes", [[], [{}], [{"note_id": "n1", "title": "x"}], [{"title": "x"}], [{"body": "x"}] * 201, [{"body": None}]]
)
def test_what_is_no_list_of_notes_is_refused(client, notes):
    answer = client.post("/v1/notes:score", json={"notes": notes})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


def test_200_notes_are_answered_in_order(put, score):
    put()
    notes = [{"note_id": "n1"} if n % 2 else {"note_id": f"x{n}", "body": f"第{n}篇"} for n in range(200)]
    results = score(*notes)["results"]
    assert [one["note_id"] for one in results] == ["n1" if n % 2 else f"x{n}" for n in range(200)]


def test_a_malformed_note_has_a_problem_of_its_own(score):
    bad, good = score({"note_id": "n", "body": "a\x00b", "published_at": "2025-05-01"}, {"body": CLEAN})["results"]
    assert (bad["note_id"], bad["status"], bad["code"]) == ("n", "problem", "malformed")
    assert [one["pointer"] for one in bad["errors"]] == ["/notes/0/published_at"]
    assert good["status"] == "scored"

"""What reviewers decided becomes labels to learn from: by hand, and all the way from a flag to a trained model."""

import json
from dataclasses import fields
from datetime import timedelta

import pytest

from features.sources import Dataset
from serving.errors import ServingError
from serving.export_labels import export_labels
from serving.reviews.labels import ReviewedLabel, labels_of
from serving.store.reviews import Judgement, Origin, Outcome, Review, ReviewState
from training.__main__ import main


def review(values, *, origin=Origin.DECISION, sampled=False, propensity=1.0, at=1):
    judgement = Judgement(Outcome.CORRECT, "pass", values, "sound", "")
    same = dict.fromkeys(one.name for one in fields(Review))
    same |= {"note_id": "n", "revision": 1, "model_version": "3", "policy_version": "a" * 64, "decided_at": at}
    told = {"origin": origin, "sampled": sampled, "propensity": propensity, "judgement": judgement}
    return Review(**same | told | {"state": ReviewState.DECIDED})


def row(label, value, weight, at=1):
    return ReviewedLabel("n", label, value, pytest.approx(weight), "review/model-3/policy-aaaaaaaaaaaa", at)


def test_one_decision_counts_by_the_chance_it_had():
    assert labels_of([review({"spam": 1, "abuse": 0})]) == [row("spam", 1, 1), row("abuse", 0, 1)]
    assert labels_of([review({"spam": 0}, sampled=True, propensity=0.1)]) == [row("spam", 0, 10)]
    assert labels_of([review({"spam": 0}, sampled=True, propensity=0.01)]) == [row("spam", 0, 20)]
    reported = review({"spam": 1}, origin=Origin.REPORT, propensity=0.01)
    assert labels_of([reported]) == [row("spam", 1, 1)]


def test_reviewers_who_disagree_count_less_and_evenly_divided_ones_nothing():
    first, second = review({"spam": 1, "abuse": 0}), review({"spam": 0, "abuse": 0}, at=2)
    assert labels_of([first, second]) == [row("abuse", 0, 1, at=2)]
    third = review({"spam": 1, "abuse": 0}, at=3)
    assert labels_of([first, second, third]) == [
        row("spam", pytest.approx(2 / 3), 1 / 3, at=3),
        row("abuse", 0, 1, at=3),
    ]


def test_a_decision_on_an_appeal_takes_the_place_of_those_before():
    appeal = review({"spam": 0}, origin=Origin.APPEAL, at=2)
    assert labels_of([review({"spam": 1}), appeal]) == [row("spam", 0, 1, at=2)]


@pytest.fixture
def reviewed(world, eventually):
    """An app in which a reviewer has decided about notes that were all drawn: those with 微信 are spam."""
    world.registry.release_quality()

    def review_all(client, notes):
        client.portal.call(client.app.state.services.reviewers.add, "lin", "reviewer", None)
        for note_id, body in notes.items():
            client.put(f"/v1/notes/{note_id}", json={"body": body, "author_id": f"author of {note_id}"})
        for _ in notes:
            claimed = {}

            def is_there(claimed=claimed):
                claimed.update(client.post("/v1/reviews:claim", json={"reviewer": "lin"}).json())
                return claimed["review"]

            eventually(is_there)
            label = {"spam": "微信" in notes[claimed["review"]["note_id"]]}
            said = {"outcome": "correct", "labels": label, "reason": "spam" if label["spam"] else "sound"}
            held = {"reviewer": "lin", "lease": claimed["lease"], "revision": 1}
            path = f"/v1/reviews/{claimed['review']['review_id']}/decide"
            assert client.post(path, json=held | said).status_code == 200
        world.clock.now += timedelta(minutes=1)

    with world.open(review_sample_share=1, review_second_share=0) as client:
        yield client, review_all


def export(client, folder, world):
    async def run():
        stores = client.app.state.services
        return [
            one async for one in export_labels(stores.desk._reviews, stores.notes._notes, folder, now=world.clock())
        ]

    return client.portal.call(run)


def test_decisions_become_a_dataset_without_people_in_it(world, reviewed, tmp_path):
    client, review_all = reviewed
    review_all(client, {"a": "加微信领资料", "b": "今天去爬山", "c": "路边的花开了"})
    client.put("/v1/notes/c", json={"body": "改过的笔记"})
    (*_, written) = export(client, tmp_path / "out", world)
    assert written == (2, 6)
    dataset = Dataset(tmp_path / "out", now=world.clock())
    labels = dataset.connection.execute("SELECT note_id, value FROM note_labels WHERE label = 'spam'").fetchall()
    assert sorted(labels) == [("a", 1), ("b", 0)]
    text = "".join(file.read_text() for file in (tmp_path / "out").iterdir())
    assert "author of" not in text
    assert "lin" not in text
    with pytest.raises(ServingError, match="choose another"):
        export(client, tmp_path / "out", world)


def test_where_nothing_was_decided_there_is_nothing_to_export(world, reviewed, tmp_path):
    with pytest.raises(ServingError, match="no decision"):
        export(reviewed[0], tmp_path / "out", world)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_model_is_trained_from_what_reviewers_decided(world, reviewed, tmp_path):
    client, review_all = reviewed
    things = ["咖啡", "公园", "口红", "电影", "火锅", "跑步", "相机", "猫咪", "毛衣", "书店", "露营", "蛋糕"]
    places = ["早上", "中午", "晚上", "周末", "雨天", "春天", "旅行", "回家", "上班", "放假"]
    texts = [f"{place}的{thing}真的很不错，分享给大家" for place in places for thing in things]
    bodies = [text + ("，加微信领资料" if at % 3 == 0 else "") for at, text in enumerate(texts)]
    review_all(client, {f"n{at:03}": body for at, body in enumerate(bodies)})
    export(client, tmp_path / "out", world)
    config, report = tmp_path / "quality.toml", tmp_path / "report.json"
    config.write_text('encoder = "none"\n[labels.spam]\nkind = "harm"\n')
    home = ["--home", str(tmp_path / "home")]
    data = ["--data", str(tmp_path / "out"), "--config", str(config), "--report", str(report)]
    main([*home, "quality", *data])
    assert json.loads(report.read_text())["labels"]["spam"]["model"]["auc"] > 0.95

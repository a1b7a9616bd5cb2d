"""Two feeds side by side: ``python -m benchmarks.feeds RECOMMENDER ENCODER --data DIR [--user PLACE]``.

The one is as the model ranks candidates, the other with the quality gate, diversity, the authors' rule and support.
Both are of one user of a dataset with ``notes`` and ``events`` (a synthetic one: titles are printed), as a table in
Markdown; below it, over 300 users, how evenly both kinds expose notes and authors (Gini), how alike neighbours in a
feed are, and how many notes the gate would have kept out.
"""

import argparse
import itertools
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from features.sources import Dataset
from models.bundle import read_bundle
from models.quality.reading import NoteText
from models.quality.scorer import QualityScorer
from models.quality.settings import LabelKind
from models.recommend.catalogue import Catalogue, CatalogueNote
from models.recommend.feed import FeedRules, Wanted, make_feed
from models.recommend.rerank.arrange import Arrangement
from models.recommend.scorer import RecommendScorer
from models.recommend.vectors import quantised
from training.recommend.ranking import gini

N: Final = 10
N_USERS: Final = 300
PLAIN: Final = FeedRules(Arrangement(diversity=0, per_author=N, support_every=0))
FULL: Final = FeedRules()


class Community(NamedTuple):
    """What feeds are made from: the notes as they are, and with the poor and flagged ones withheld; titles by id."""

    scorer: RecommendScorer
    ungated: Catalogue
    gated: Catalogue
    titles: dict[str, str]
    histories: Sequence[Sequence[str]]
    now: int


def main() -> None:
    """Print both feeds, and what tells them apart."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("recommender", type=Path)
    parser.add_argument("encoder", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--user", type=int, default=0)
    options = parser.parse_args()
    community = read_community(options.data, RecommendScorer(read_bundle(options.recommender)), options.encoder)
    plain, full = (feed_of(community, options.user, rules) for rules in (PLAIN, FULL))
    print("| as ranked | with gate, diversity, authors and support |\n| --- | --- |")
    for one, other in zip(plain, full, strict=True):
        print(f"| {shown(community, community.ungated, one)} | {shown(community, community.gated, other)} |")
    for name, rules in (("as ranked", PLAIN), ("re-ranked", FULL)):
        print(f"{name}: {figures(community, rules)}")


def read_community(folder: Path, scorer: RecommendScorer, encoder: Path) -> Community:
    """Read a dataset's notes with the encoder, and what its users took up."""
    dataset, judge = Dataset(folder, now=round(time.time() * 1e6)), QualityScorer(read_bundle(encoder))
    rows = dataset.connection.execute(
        "SELECT note_id, coalesce(title, ''), body, author_id, coalesce(epoch_us(published_at), 0) FROM notes"
    ).fetchall()
    ungated, gated = Catalogue(scorer.note_ids), Catalogue(scorer.note_ids)
    harms = [place for place, one in enumerate(judge.settings.labels) if one.kind is LabelKind.HARM]
    for start in range(0, len(rows), 32):
        batch = rows[start : start + 32]
        scores = judge.score([NoteText(title, body) for _, title, body, _, _ in batch])
        vectors = quantised(np.zeros((len(batch), 128), np.float32) if scores.embedding is None else scores.embedding)
        thresholds = np.array([judge.settings.labels[place].threshold for place in harms])
        is_out = (scores.probability[:, harms] >= thresholds).any(axis=1) | (
            scores.quality < judge.settings.limit_below
        )
        for place, (note_id, _, _, author_id, since) in enumerate(batch):
            note = CatalogueNote(note_id, author_id, None, since, vectors[place].tobytes())
            ungated.put(note)
            gated.put(replace(note, withheld=is_out.tolist()[place]))
    histories = dataset.connection.execute(
        "SELECT list(note_id ORDER BY occurred_at) FROM events WHERE note_id IS NOT NULL AND event IN "
        "('click', 'like', 'collect', 'read', 'purchase') GROUP BY user_id HAVING count(*) >= 20 ORDER BY md5(user_id)"
    ).fetchall()
    titles = {note_id: title or body[:20] for note_id, title, body, _, _ in rows}
    return Community(
        scorer, ungated, gated, titles, [one for (one,) in histories[:N_USERS]], max(row[4] for row in rows)
    )


def feed_of(community: Community, user: int, rules: FeedRules) -> list[int]:
    """The notes of a user's feed by number."""
    catalogue = community.ungated if rules is PLAIN else community.gated
    history = catalogue.numbers(community.histories[user])
    return [one.number for one in make_feed(community.scorer, catalogue, Wanted(N, community.now, history), rules)]


def shown(community: Community, catalogue: Catalogue, number: int) -> str:
    """A note's title, marked where the gate keeps it out."""
    note_id = catalogue.note_id(number)
    is_out = community.gated.shelf().withheld[number]
    return f"{community.titles[note_id]}{' ✗' if is_out else ''}"


def figures(community: Community, rules: FeedRules) -> str:
    """What feeds of this kind are like, over all users."""
    feeds = [feed_of(community, user, rules) for user in range(len(community.histories))]
    shelf = community.gated.shelf()
    every = np.concatenate(feeds)
    notes = np.bincount(every, minlength=len(shelf))
    authors = np.bincount(shelf.author[every], minlength=int(shelf.author.max()) + 1)
    pairs = [(a, b) for feed in feeds for a, b in itertools.pairwise(feed)]
    left, right = (shelf.unit_vectors(np.array(side)) for side in zip(*pairs, strict=True))
    alike = float(np.einsum("nd,nd->n", left, right).mean())
    return (
        f"Gini of notes {gini(notes):.3f}, of authors {gini(authors):.3f}; mean cosine of neighbours {alike:.3f}; "
        f"kept out by the gate {shelf.withheld[every].mean():.1%}"
    )


if __name__ == "__main__":
    main()

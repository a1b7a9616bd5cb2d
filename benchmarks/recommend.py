"""What a feed costs: ``python -m benchmarks.recommend BUNDLE [--notes N]``, in this process, one thread.

``BUNDLE`` is a released recommender's folder. Its notes and as many others as make N get synthetic vectors (a mixture
of 300 clusters), authors and instants; histories are drawn from the bundle's notes. Printed are the median and the 99th
percentile of a feed of 20, candidates, ranking and re-ranking included, and where there are more notes than are
compared one by one, how long the graph took to build and what it finds of the 100 nearest.
"""

import argparse
import resource
import time
from pathlib import Path

import numpy as np

from models.bundle import read_bundle
from models.recommend.catalogue import Catalogue, CatalogueNote
from models.recommend.feed import FeedRules, Wanted, make_feed
from models.recommend.nearest import nearest_of_all
from models.recommend.scorer import RecommendScorer
from models.recommend.vectors import DIMENSIONS, quantised

N_FEEDS = 500
N_CLUSTERS = 300
N_AUTHORS = 5_000
NOW = 1_700_000_000_000_000


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--notes", type=int, default=20_000)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    scorer = RecommendScorer(read_bundle(options.bundle))
    print(f"bundle of {len(scorer.note_ids):,} notes: {rss_mb():.0f} MB")
    catalogue = fill(Catalogue(scorer.note_ids), options.notes, rng)
    print(f"catalogue of {len(catalogue):,} notes: {rss_mb():.0f} MB")
    if catalogue.wants_graph:
        started = time.perf_counter()
        catalogue.build_graph()
        took_s = time.perf_counter() - started
        print(f"graph: {took_s:.0f} s, {rss_mb():.0f} MB, recall@100 {recall(catalogue, rng):.3f}")
    seconds = [one_feed(scorer, catalogue, rng) for _ in range(N_FEEDS)]
    print(f"a feed of 20: p50 {np.median(seconds) * 1e3:.1f} ms, p99 {np.quantile(seconds, 0.99) * 1e3:.1f} ms")


def fill(catalogue: Catalogue, n_notes: int, rng: np.random.Generator) -> Catalogue:
    """Tell the catalogue of its own notes, and of others."""
    note_ids = [catalogue.note_id(number) for number in range(len(catalogue))]
    note_ids += [f"other{place}" for place in range(n_notes - len(note_ids))]
    centres = rng.normal(size=(N_CLUSTERS, DIMENSIONS))
    for start in range(0, len(note_ids), 10_000):
        page = note_ids[start : start + 10_000]
        cluster = rng.integers(N_CLUSTERS, size=len(page))
        vectors = quantised((centres[cluster] + rng.normal(size=(len(page), DIMENSIONS))).astype(np.float32))
        for note_id, vector in zip(page, vectors, strict=True):
            author, known_since = f"author{rng.integers(N_AUTHORS)}", NOW - int(rng.integers(10**14))
            catalogue.put(CatalogueNote(note_id, author, None, known_since, vector.tobytes(), 50.0))
    return catalogue


def one_feed(scorer: RecommendScorer, catalogue: Catalogue, rng: np.random.Generator) -> float:
    """How long one user's feed takes, in seconds."""
    history = rng.integers(len(scorer.note_ids), size=int(rng.integers(3, 50))).tolist()
    started = time.perf_counter()
    make_feed(scorer, catalogue, Wanted(20, NOW, history=history), FeedRules())
    return time.perf_counter() - started


def recall(catalogue: Catalogue, rng: np.random.Generator) -> float:
    """The share of the 100 nearest notes that the graph finds, over 100 notes."""
    shelf = catalogue.shelf()
    wanted = shelf.unit_vectors(rng.integers(len(shelf), size=100))
    exact, _ = nearest_of_all(shelf.vectors, shelf.inverse_norm, wanted, n=100)
    found, _ = catalogue.near(wanted, n=100)
    pairs = zip(exact.tolist(), found.tolist(), strict=True)
    return float(np.mean([len(set(a) & set(b)) / 100 for a, b in pairs]))


def rss_mb() -> float:
    """The most memory that this process had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()

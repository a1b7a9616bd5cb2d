"""What a challenger would have earned on what was recommended, had it chosen: off-policy evaluation.

Self-normalised inverse propensity scoring (Swaminathan and Joachims 2015). A logged note weighs 1 / propensity for a
policy that would have shown it among as many notes to this user, from what they had done until then, and 0 otherwise;
a policy's click rate is the weighted mean of the clicks. A note that the log could not have held says nothing of a
policy that would have shown it: hence the share of feeds that look beyond the order, and hence an answer only for a log
that is large enough.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.sources import Dataset
from models.recommend.sources import begins
from training.gates import Gate
from training.recommend.comparison import Recommender
from training.recommend.config import NOT_TAKEN_UP, RecommendConfig

Floats = npt.NDArray[np.float64]

GATE: Final = "off_policy_click_rate_difference"
MIN_EFFECTIVE: Final = 200.0
"""Logged notes, as they count after weighing (Kish 1965), below which nothing is decided."""
MIN_CLICKS: Final = 20
"""Clicks on notes that a policy would have shown, below which nothing is decided."""
MAX_FEEDS: Final = 20_000
"""Feeds, at most, that are replayed: the latest."""

_RESAMPLES: Final = 1_000
_BLOCK: Final = 500


@dataclass(frozen=True, slots=True, eq=False)
class Log:
    """What was recommended to users who could be told apart, a row a note, in the order of feeds.

    ``feed`` numbers the feeds from 0, ``users`` names whose each is, ``at`` is its instant (microseconds).
    """

    feed: npt.NDArray[np.int64]
    note_id: npt.NDArray[np.object_]
    propensity: Floats
    is_clicked: npt.NDArray[np.bool_]
    users: npt.NDArray[np.object_]
    at: npt.NDArray[np.int64]

    @property
    def n_notes(self) -> npt.NDArray[np.int64]:
        """How many notes each feed has."""
        return np.bincount(self.feed, minlength=len(self.users))


def compare_on_log(
    challenger: Recommender, champion: Recommender, dataset: Dataset, config: RecommendConfig
) -> list[Gate]:
    """The challenger's click rate on the log less the champion's, where the dataset has ``recommendations``.

    It fails where the whole 95% interval, resampled by user, lies below 0; a log that is too small decides nothing.
    """
    if "recommendations" not in dataset.summaries:
        return []
    log = read_log(dataset)
    histories = read_histories(dataset, log, config)
    weights = [_weights(policy, log, histories) for policy in (challenger, champion)]
    if reason := _too_small(log, weights):
        return [Gate(GATE, 0.0, remark=f"the log is too small to decide: {reason}")]
    difference, low, high = click_rate_difference(log, *weights, rng=np.random.default_rng(config.seed))
    return [Gate(GATE, difference, minimum=difference - high, interval=(low, high))]


def read_log(dataset: Dataset) -> Log:
    """The latest feeds of the ``recommendations`` of a dataset; a click is any event on the note that names the feed,
    but an impression, a hide or a report.
    """
    rows = dataset.connection.execute(
        """
        WITH feeds AS (
            SELECT recommendation_id, any_value(user_id) AS user_id, epoch_us(min(recommended_at)) AS instant
            FROM recommendations WHERE user_id IS NOT NULL
            GROUP BY recommendation_id ORDER BY instant DESC, recommendation_id LIMIT ?
        ), clicks AS (
            SELECT DISTINCT recommendation_id, note_id FROM events
            WHERE recommendation_id IS NOT NULL AND event NOT IN ('impression', 'hide', 'report')
        )
        SELECT feeds.recommendation_id, feeds.user_id, instant, note_id, propensity,
            clicks.note_id IS NOT NULL AS clicked
        FROM feeds JOIN recommendations USING (recommendation_id) LEFT JOIN clicks USING (recommendation_id, note_id)
        WHERE propensity > 0 ORDER BY instant, feeds.recommendation_id, place
        """,
        [MAX_FEEDS],
    ).fetchnumpy()
    feed, _ = pd.factorize(np.asarray(rows["recommendation_id"]))
    first = np.flatnonzero(begins(feed))
    return Log(
        feed.astype(np.int64),
        np.asarray(rows["note_id"], np.object_),
        np.asarray(rows["propensity"], np.float64),
        np.asarray(rows["clicked"], np.bool_),
        np.asarray(rows["user_id"], np.object_)[first],
        np.asarray(rows["instant"], np.int64)[first],
    )


def read_histories(dataset: Dataset, log: Log, config: RecommendConfig) -> list[list[str]]:
    """What each feed's user had taken up before it, oldest first."""
    kinds = [kind for kind in config.events if kind not in NOT_TAKEN_UP]
    rows = dataset.connection.execute(
        """
        SELECT user_id, note_id, epoch_us(occurred_at) AS instant FROM events
        WHERE note_id IS NOT NULL AND list_contains(?, event) AND list_contains(?, user_id) ORDER BY instant
        """,
        [kinds, sorted(set(log.users.tolist()))],
    ).fetchnumpy()
    notes: dict[str, list[str]] = {}
    instants: dict[str, list[int]] = {}
    columns = (rows[name].tolist() for name in ("user_id", "note_id", "instant"))
    for user_id, note_id, at in zip(*columns, strict=True):
        notes.setdefault(user_id, []).append(note_id)
        instants.setdefault(user_id, []).append(at)
    return [
        notes.get(user_id, [])[: int(np.searchsorted(instants.get(user_id, []), at))]
        for user_id, at in zip(log.users.tolist(), log.at.tolist(), strict=True)
    ]


def click_rate_difference(
    log: Log, ours: Floats, theirs: Floats, *, rng: np.random.Generator
) -> tuple[float, float, float]:
    """The self-normalised click rate under weights of ours less that under theirs, and its 95% interval."""
    user, names = pd.factorize(log.users)
    sums = np.zeros((4, len(names)))
    for place, weight in enumerate((ours, theirs)):
        sums[2 * place] = np.bincount(user[log.feed], weight * log.is_clicked, len(names))
        sums[2 * place + 1] = np.bincount(user[log.feed], weight, len(names))
    draws = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), _RESAMPLES)
    whole, resampled = _difference(sums.sum(axis=1)), _difference(sums @ draws.T.astype(np.float64))
    low, high = np.nanquantile(resampled, [0.025, 0.975])
    return float(whole), float(low), float(high)


def _difference(sums: Floats) -> Floats:
    our_clicks, our_weight, their_clicks, their_weight = sums
    with np.errstate(invalid="ignore", divide="ignore"):  # a resample without anybody who says anything
        difference: Floats = our_clicks / our_weight - their_clicks / their_weight
    return difference


def _weights(policy: Recommender, log: Log, histories: list[list[str]]) -> Floats:
    """Of each logged note: 1 / propensity where the policy would have shown it, else 0."""
    n_notes, most = log.n_notes, int(log.n_notes.max(initial=0))
    is_shown = np.zeros(len(log.feed), np.bool_)
    starts = np.concatenate([[0], np.cumsum(n_notes)])
    for first in range(0, len(histories), _BLOCK):
        lists = policy.scorer.recommend(histories[first : first + _BLOCK], n=most, catalogue=policy.catalogue)
        for feed, notes in enumerate(lists, first):
            shown = {one.note_id for one in notes[: n_notes[feed]]}
            rows = range(starts[feed], starts[feed + 1])
            is_shown[rows.start : rows.stop] = [log.note_id[row] in shown for row in rows]
    return is_shown / log.propensity


def _too_small(log: Log, weights: list[Floats]) -> str:
    """Why nothing can be decided; empty where something can."""
    effective = min(float(one.sum() ** 2 / max(np.square(one).sum(), 1e-12)) for one in weights)
    clicks = min(int(log.is_clicked[one > 0].sum()) for one in weights)
    if effective < MIN_EFFECTIVE or clicks < MIN_CLICKS:
        return f"{effective:.0f} effective notes and {clicks} clicks, {MIN_EFFECTIVE:.0f} and {MIN_CLICKS} are needed"
    return ""

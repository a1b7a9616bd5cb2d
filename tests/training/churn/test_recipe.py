"""The recipe: it learns what there is to learn, from the past alone, and the same thing every time."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import DataError
from features.schema import KIND_CODES
from features.state import DAY_US
from models.bundle import Bundle
from training.churn.evaluation import Evaluation
from training.churn.export import export_churn
from training.churn.recipe import ChurnTraining, kind_features

START = 1_672_531_200_000_000  # 2023-01-01

Train = Callable[..., ChurnTraining]


def test_the_model_beats_recency_and_does_not_lose_to_the_logistic_regression(evaluation: Evaluation) -> None:
    assert evaluation.differences["recency"].low > 0
    assert evaluation.differences["logistic"].mean >= -0.005
    assert evaluation.main.qualities["model"].ece < 0.1


def test_no_user_is_likelier_to_be_away_for_longer(training: ChurnTraining) -> None:
    week, fortnight = training.model.predict(training.test_rows.features).T
    assert (fortnight <= week).all()
    assert (fortnight < week).any()


def test_the_same_log_and_seed_give_the_same_bundle(
    train: Train, community: Path, bundle: Bundle, tmp_path: Path
) -> None:
    assert export_churn(train(community).model, tmp_path).digest == bundle.digest


def test_nothing_that_happens_after_the_test_instant_reaches_the_model(
    train: Train, community: Path, training: ChurnTraining, bundle: Bundle, tmp_path: Path
) -> None:
    rewrite_the_future(community / "events.parquet", tmp_path / "events.parquet", training.plan.main)
    changed = train(tmp_path)
    assert export_churn(changed.model, tmp_path / "bundles").digest == bundle.digest
    assert changed.plan == training.plan
    np.testing.assert_array_equal(changed.test_rows.features, training.test_rows.features)
    assert (changed.test_rows.churned(14) != training.test_rows.churned(14)).any()


def rewrite_the_future(source: Path, target: Path, instant: int) -> None:
    """Other people do other things at other times; only the first and the last event stay, and with them the span."""
    rng = np.random.default_rng(5)
    columns = {name: np.array(values) for name, values in pq.read_table(source).to_pydict().items()}
    at = np.array([round(one.timestamp() * 1e6) for one in columns["occurred_at"]])
    after = np.flatnonzero((at >= instant) & (at < at.max()))
    columns["user_id"][after] = columns["user_id"][rng.choice(after[::3], len(after))]
    columns["event"][after] = "purchase"
    at[after] = rng.integers(instant, at.max(), len(after))
    occurred_at = pa.array(at, pa.timestamp("us", "UTC"))
    value = np.where(at >= instant, 1000.0, 0.0)
    pq.write_table(pa.table({**columns, "occurred_at": occurred_at, "value": value}), target)


def test_the_commonest_kinds_get_features_of_their_own() -> None:
    counts = {KIND_CODES[kind]: n for kind, n in {"open": 9, "like": 5, "read": 5, "share": 4, "hide": 3}.items()}
    chosen = [feature.name for feature in kind_features(counts | {KIND_CODES["impression"]: 99})]
    assert chosen == [
        f"{what}_{kind}" for kind in ("open", "read", "like", "share") for what in ("n", "days_since_last")
    ]


def test_a_single_kind_is_told_by_the_totals() -> None:
    assert kind_features({KIND_CODES["purchase"]: 9, KIND_CODES["impression"]: 99}) == []


def write_daily(folder: Path, *, last_days: Sequence[int]) -> None:
    """A log of 120 days of users who open once a day, each until a day of their own."""
    user, day = zip(*((user, day) for user, last in enumerate(last_days) for day in range(last + 1)), strict=True)
    columns = {
        "event_id": [f"{place}" for place in range(len(user))],
        "user_id": [f"u{one:03}" for one in user],
        "event": ["open"] * len(user),
        "occurred_at": pa.array(START + np.array(day) * DAY_US, pa.timestamp("us", "UTC")),
    }
    pq.write_table(pa.table(columns), folder / "events.parquet")


def test_an_earlier_instant_that_knew_too_little_is_left_out_of_the_comparison(train: Train, tmp_path: Path) -> None:
    write_daily(tmp_path, last_days=[*range(60, 110), *[119] * 40])  # from day 60 on, one leaves a day
    training = train(tmp_path, n_test_instants=10)
    assert len(training.plan.test) == 5  # at days 98 to 106; before, fewer than 30 had been seen to leave
    assert len(training.trials["recency"]) == len(training.trials["logistic"]) == len(training.plan.test)


def test_a_log_in_which_nobody_stays_away_teaches_nothing(train: Train, tmp_path: Path) -> None:
    write_daily(tmp_path, last_days=[119] * 40)
    with pytest.raises(DataError, match="0 of 360 training rows churned within 7 days"):
        train(tmp_path)


def test_held_out_users_who_all_return_judge_nothing(train: Train, tmp_path: Path) -> None:
    write_daily(tmp_path, last_days=[*range(30, 60), *[119] * 40])
    with pytest.raises(DataError, match="0 of the 40 users held out at 2023-04-17 churned within 14 days"):
        train(tmp_path)

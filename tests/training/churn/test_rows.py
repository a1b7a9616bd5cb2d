"""What a row is labelled, which rows are kept, and in which fold a user is."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from features.snapshots import EventLog
from features.sources import Dataset
from features.state import DAY_US, NEVER
from features.user import CHURN_FEATURES
from training.churn.rows import Rows, Table, churned, fold_of

AS_OF = 20_000 * DAY_US


@pytest.fixture
def rows() -> Rows:
    """A thousand users with one feature, their number; every fourth never comes back, the others next day."""
    users = np.arange(1000)
    features = users[:, None].astype(np.float32)
    return Rows(AS_OF, users, features, np.where(users % 4 == 0, NEVER, AS_OF + DAY_US))


@pytest.mark.parametrize(
    ("next_at", "label"),
    [(AS_OF, 0), (AS_OF + 7 * DAY_US - 1, 0), (AS_OF + 7 * DAY_US, 1), (AS_OF + 90 * DAY_US, 1), (NEVER, 1)],
)
def test_a_user_churned_who_does_not_return_before_the_horizon_ends(next_at: int, label: int) -> None:
    assert churned(np.array([next_at]), AS_OF, 7).tolist() == [label]


def test_the_log_is_labelled_so_to_the_microsecond(tmp_path: Path, open_dataset: Callable[[Path], Dataset]) -> None:
    returns = {
        "at_once": "2023-01-10T00:00:00Z",
        "before_it_ends": "2023-01-16T23:59:59.999999Z",
        "as_it_ends": "2023-01-17T00:00:00Z",
    }
    lines = [f"{user},{user},open,{at}" for user, at in returns.items()]
    lines += [f"first {user},{user},open,2023-01-09T12:00:00Z" for user in (*returns, "never")]
    lines += ["seen,never,impression,2023-01-11T00:00:00Z"]  # being shown something is not coming back
    (tmp_path / "events.csv").write_text("\n".join(["event_id,user_id,event,occurred_at", *lines]), encoding="utf-8")
    as_of = 1_673_308_800_000_000  # 2023-01-10
    (snapshot,) = EventLog(open_dataset(tmp_path), [as_of]).snapshots(active_days=7)
    labels = Rows.of(snapshot, CHURN_FEATURES).churned(7)
    assert dict(zip(snapshot.user_ids, labels.tolist(), strict=True)) == {
        "at_once": 0, "before_it_ends": 0, "as_it_ends": 1, "never": 1
    }  # fmt: skip


def test_thinning_keeps_whole_rows_in_order_and_the_same_ones_every_time(rows: Rows) -> None:
    thinned, again = rows.thin(100), rows.thin(100)
    assert len(thinned) == 100
    assert thinned.users.tolist() == sorted(thinned.users.tolist()) == again.users.tolist()
    np.testing.assert_array_equal(thinned.features[:, 0], thinned.users)
    np.testing.assert_array_equal(thinned.churned(7), thinned.users % 4 == 0)


def test_thinning_keeps_other_users_at_another_instant_and_all_where_they_are_few(rows: Rows) -> None:
    tomorrow = replace(rows, as_of=rows.as_of + DAY_US)
    assert set(rows.thin(100).users.tolist()) != set(tomorrow.thin(100).users.tolist())
    assert rows.thin(1000) is rows


def test_thinning_favours_nobody(rows: Rows) -> None:
    assert rows.thin(400).churned(7).mean() == pytest.approx(0.25, abs=0.02)


def test_a_user_is_in_one_fold_whatever_the_company() -> None:
    users = np.arange(9000)
    folds = fold_of(users, 3)
    np.testing.assert_array_equal(fold_of(users[::-7], 3), folds[::-7])
    np.testing.assert_allclose(np.bincount(folds), 3000, rtol=0.02)


@pytest.mark.parametrize(("n_instants", "n_late"), [(1, 1), (2, 1), (3, 1), (4, 2), (7, 3)])
def test_the_last_third_of_the_instants_is_late_and_at_least_one(rows: Rows, n_instants: int, n_late: int) -> None:
    table = Table.of([rows] * n_instants, 7, late_share=1 / 3)
    assert table.late.tolist() == [place >= n_instants - n_late for place in range(n_instants) for _ in range(1000)]
    assert (len(table.users), len(table.features), table.y.mean()) == (1000 * n_instants, 1000 * n_instants, 0.25)


def test_a_table_without_a_feature_keeps_the_others_in_order(rows: Rows) -> None:
    wide = replace(rows, features=np.tile([1, 2, 3], (1000, 1)).astype(np.float32))
    assert Table.of([wide], 7, late_share=1 / 3).without(1).features[0].tolist() == [1, 3]
